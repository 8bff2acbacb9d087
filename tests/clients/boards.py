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
    notes: dict[str, str] = {}
    plain = [one for one in samples if one.system in agents]
    if len(agents) > 1:
        ranks = ranking(plain, agents)
        by_name[ROUTER] = routed(plain, ranks)
    reference = conductor(ROUNDS[-1])
    near = nearest(by_name, reference, notes) if reference in by_name else {}
    rows = [*(name for name in about["systems"] if name in agents), ROUTER]
    rows += [best_of(plan, n) for plan in (BEST, ROUTED) for n in SHOWN]
    rows += [name for name in near.values()]
    rows += [turn for n in range(2, len(agents) + 1) if (turn := best_of(IN_TURN, n)) in by_name]
    rows += [name for name in about["systems"] if name.startswith("baton/")]
    rows += [conductor(rounds) for rounds in ROUNDS]
    rows += [by_lot(conductor(rounds)) for rounds in ROUNDS[1:]]
    kept = [name for name in dict.fromkeys(rows) if name in by_name]
    tasks = f"{len(about['seeds'])} × {about['tasks'][board]} tasks"
    head = f"**{board[0].upper()}{board[1:]}** ({tasks})"
    first = table([(name + notes.get(name, ""), by_name[name]) for name in kept])
    pairs = compared(by_name, agents, near)
    second = comparisons(
        [(one, by_name[one], two, by_name[two]) for one, two in pairs]
    )
    return "\n\n".join([head, first, *([second] if pairs else [])])


def nearest(by_name: dict, reference: str, notes: dict[str, str]) -> dict[tuple[str, str], str]:
    """For calls and for dollars, the number of attempts whose mean is nearest to the Conductor's."""
    target = means(by_name[reference])
    found = {}
    for plan in (BEST, ROUTED):
        numbers = []
        while best_of(plan, len(numbers) + 1) in by_name:
            numbers.append(best_of(plan, len(numbers) + 1))
        for what, place in (("calls", 0), ("$", 2)):
            if numbers:
                off = lambda name: abs(means(by_name[name])[place] - target[place])
                found[plan, what] = best = min(numbers, key=off)
                notes[best] = notes.get(best, "") + f" [nearest in {what} to {reference}]"
    return found


def compared(by_name: dict, agents: list[str], near: dict) -> list[tuple[str, str]]:
    """Which systems are set against each other."""
    one, most = conductor(1), conductor(ROUNDS[-1])
    pairs = [(conductor(rounds), one) for rounds in ROUNDS[1:]]
    pairs += [(by_lot(conductor(rounds)), one) for rounds in ROUNDS[1:]]
    pairs += [(most, ROUTER), (most, best_of(BEST, 1))]
    pairs += [(most, name) for name in near.values()]
    pairs += [(most, best_of(IN_TURN, n)) for n in (3, len(agents))]
    return [pair for pair in dict.fromkeys(pairs) if pair[0] in by_name and pair[1] in by_name]
