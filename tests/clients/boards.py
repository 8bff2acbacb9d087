"""What is shown of an experiment: for each kind of tasks, all systems and what to compare."""

from dataclasses import replace

from scores import Sample, comparisons, means, ranking, routed, table
from systems import System

# The kinds of tasks.
ALL, HARD = "all kinds", "hard countdown and programs"
# Rounds that the Conductor may have.
ROUNDS = (1, 2, 3)
# Whom best-of-n asks.
BEST, ROUTED, IN_TURN = "best agent", "router's agent", "agents in turn, best first"
# Numbers of attempts that are shown in any case.
SHOWN = (2, 3, 5)
ROUTER = "router: best agent per family"


def conductor(rounds: int) -> str:
    return f"Conductor: {rounds} round{'s' if rounds > 1 else ''}"


REVIEWED = f"{conductor(ROUNDS[-1])}, reviewed"


def by_lot(system: System | str):
    """The same with lots in place of the verifier's evidence."""
    if isinstance(system, str):
        return f"{system}, verdicts by lot"
    return replace(system, name=by_lot(system.name))


def best_of(plan: str, n: int) -> str:
    return f"{plan}, best of {n}"


def shown(board: str, samples: list[Sample], about: dict) -> str:
    """The tables of one board."""
    by_name: dict[str, list[Sample]] = {}
    for sample in samples:
        by_name.setdefault(sample.system, []).append(sample)
    agents = about["agents"]
    if len(agents) > 1:
        alone = [sample for sample in samples if sample.system in agents]
        by_name[ROUTER] = routed(alone, ranking(alone, agents))
    near = nearest(by_name)
    order = [*agents, ROUTER]
    order += [best_of(plan, n) for plan in (BEST, ROUTED) for n in SHOWN]
    order += [*near, *(best_of(IN_TURN, n) for n in (2, 3, len(agents)))]
    order += [name for name in about["systems"] if name.startswith("baton/")]
    order += [conductor(rounds) for rounds in ROUNDS]
    order += [REVIEWED, *(by_lot(conductor(rounds)) for rounds in ROUNDS[1:])]
    rows = [name for name in dict.fromkeys(order) if name in by_name]
    pairs = [pair for pair in compared(agents, near) if set(pair) <= set(by_name)]
    seeds, tasks = len(about["seeds"]), about["tasks"][board]
    parts = [f"**{board[0].upper()}{board[1:]}**: {seeds} × {tasks} tasks"]
    parts.append(table([(name + near.get(name, ""), by_name[name]) for name in rows]))
    if pairs:
        parts.append(comparisons([(a, by_name[a], b, by_name[b]) for a, b in pairs]))
    return "\n\n".join(parts)


def nearest(by_name: dict[str, list[Sample]]) -> dict[str, str]:
    """The numbers of attempts whose mean calls or dollars are nearest to the Conductor's, and
    in words in which of the two."""
    most = conductor(ROUNDS[-1])
    found: dict[str, str] = {}
    for plan in (BEST, ROUTED) if most in by_name else ():
        tried = [name for name in by_name if name.startswith(f"{plan}, best of ")]
        for what, place in (("calls", 0), ("$", 2)):
            wanted = means(by_name[most])[place]
            off = {name: abs(means(by_name[name])[place] - wanted) for name in tried}
            if off:
                name = min(off, key=off.get)
                found[name] = found.get(name, "") + f" [nearest in {what} to {most}]"
    return found


def compared(agents: list[str], near: dict[str, str]) -> list[tuple[str, str]]:
    """Which systems are set against each other, where they are there."""
    one, most = conductor(1), conductor(ROUNDS[-1])
    pairs = [(conductor(rounds), one) for rounds in ROUNDS[1:]]
    pairs += [(by_lot(conductor(rounds)), one) for rounds in ROUNDS[1:]]
    pairs += [(REVIEWED, most)]
    pairs += [(most, ROUTER), *((most, best_of(plan, 1)) for plan in (BEST, ROUTED))]
    pairs += [(most, best_of(IN_TURN, n)) for n in (3, len(agents))]
    return [*pairs, *((most, name) for name in near)]
