#!/usr/bin/env python3
"""Compares Baton with its single agents, their best router, best-of-n with Baton's verifier,
and its strategies, on generated tasks and over several seeds.

Every system answers the same tasks through the official OpenAI client, half of them streamed;
`baton tasks --grade` grades the answers. Failures of the infrastructure are counted apart, and
never as wrong answers. Against simulated models the result says how the parts of Baton work
together, and nothing about any real model.

  .venv/bin/python tests/clients/evaluate.py --out results.json
  .venv/bin/python tests/clients/evaluate.py --endpoint http://127.0.0.1:8484/v1 --seeds 1
"""

import argparse
import asyncio
import json
import os
import sys
import time
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from urllib.request import urlopen

import openai

import boards
from attempts import Attempts, Chain
from cluster import baton_up
from scores import Sample, Share, failures, ranking
from systems import ANSWER_SECONDS, Asker, Reply, System
from tasks import Key, Question, apart, printed

# The provider of the simulated models.
SIMULATED = "sim"
# What narrows the tasks of each board. All hard ones come with a check that they themselves give.
BOARDS = {
    boards.ALL: (),
    boards.HARD: "--family countdown --family program --difficulty 4 --difficulty 5".split(),
}


def conductors() -> list[System]:
    """The Conductor with so many rounds; all have the check, which one round makes no use of.
    The last one also looks at answers that no check decides on."""
    plain = [
        System(boards.conductor(rounds), "baton", {"rounds": rounds}, checked=True)
        for rounds in boards.ROUNDS
    ]
    looked = {**plain[-1].baton, "review": True}
    return [*plain, replace(plain[-1], name=boards.REVIEWED, baton=looked)]


def main(argv: list[str]) -> int:
    options = arguments(argv)
    about, samples = asyncio.run(Experiment(options).run())
    for name in BOARDS:
        taken = [sample for sample in samples if sample.board == name]
        if taken:
            print(boards.shown(name, taken, about))
            print()
    print(caption(about))
    for failure, count in failures(samples).most_common():
        print(f"{count} x {failure}", file=sys.stderr)
    if options.out:
        document = {**about, "samples": [asdict(sample) for sample in samples]}
        options.out.write_text(json.dumps(document, indent=1) + "\n")
    return 0


def arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--count", type=int, default=120, help="tasks of each seed, all kinds (120)")
    add("--hard", type=int, default=80, help="and of hard ones that have a check (80)")
    add("--seeds", type=int, default=5, help="seeds, of tasks and simulation alike (5)")
    add("--seed", type=int, default=1, help="the first of them (1)")
    add("--attempts", type=int, default=32, help="most attempts of best-of-n; 0: none (32)")
    add("--systems", help="systems, separated by commas (the Conductor, agents, strategies)")
    add("--concurrency", type=int, default=16, help="requests at the same time (16)")
    add("--endpoint", metavar="URL", help="a running Baton's base URL; without, they are started")
    add("--key-env", default="BATON_API_KEY", metavar="NAME", help="variable with its key")
    add("--out", type=Path, metavar="FILE", help="writes every sample, as JSON")
    options = parser.parse_args(argv)
    if min(options.seeds, options.concurrency) < 1 or options.count + options.hard < 1:
        parser.error("--count, --seeds and --concurrency must be at least 1")
    return options


@contextmanager
def cluster(options: argparse.Namespace, seed: int, noise: float | None = None):
    """The base URL of the Baton to ask; with `noise` its verifier passes that share by lot."""
    if options.endpoint:
        yield options.endpoint
        return
    env = {} if noise is None else {"BATON_NOISE": f"{seed}:{noise}"}
    arguments = ("--simulated", "--sim-seed", str(seed), "--sim-time-scale", "0")
    with baton_up(*arguments, env=env) as url:
        yield url


@asynccontextmanager
async def asking(url: str, options: argparse.Namespace):
    key = os.environ.get(options.key_env) or "none"
    async with openai.AsyncOpenAI(base_url=url, api_key=key, timeout=ANSWER_SECONDS) as client:
        yield Asker(client, options.concurrency)


@dataclass(frozen=True)
class Board:
    """One seed's tasks of a kind."""

    name: str
    seed: int
    questions: list[Question]
    key: Key

    def samples(self, system: str, replies: list[Reply], right: list[bool]) -> list[Sample]:
        return [
            Sample.of((self.name, self.seed, place), system, *each)
            for place, each in enumerate(zip(self.questions, replies, right, strict=True))
        ]

    def graded(self, system: str, replies: list[Reply]) -> list[Sample]:
        texts = [reply.text for reply in replies]
        ids = [question.id for question in self.questions]
        return self.samples(system, replies, self.key.grades(list(zip(ids, texts, strict=True))))


class Experiment:
    """All systems on all boards, seed by seed."""

    def __init__(self, options: argparse.Namespace):
        self.options = options
        self.seeds = range(options.seed, options.seed + options.seeds)
        self.counts = {boards.ALL: options.count, boards.HARD: options.hard}
        self.samples: list[Sample] = []
        self.begun = time.monotonic()

    async def run(self) -> tuple[dict, list[Sample]]:
        with cluster(self.options, self.options.seed) as url:
            async with asking(url, self.options) as asker:
                about, systems = await offered(asker.client, self.options)
        for seed in self.seeds:
            tasks = self.boards(seed)
            # Each has a cluster of its own: nobody finds another's prompts in a cache.
            for system in systems:
                with cluster(self.options, seed) as url:
                    await self.ask(url, tasks, system)
        if self.options.attempts and about["agents"]:
            await self.attempts(about["agents"])
        if about["simulation"] and not self.options.endpoint and not self.options.systems:
            await self.noise()
        return about, self.samples

    def done(self, seed: int, what: str) -> None:
        seconds = time.monotonic() - self.begun
        print(f"{seconds:.0f} s: seed {seed}: {what}: done", file=sys.stderr, flush=True)

    def boards(self, seed: int) -> list[Board]:
        return [
            Board(name, seed, *apart(printed(self.counts[name], seed, *which)))
            for name, which in BOARDS.items()
            if self.counts[name]
        ]

    def of(self, board: str, system: str) -> list[Sample]:
        return [one for one in self.samples if (one.board, one.system) == (board, system)]

    async def ask(self, url: str, tasks: list[Board], system: System) -> None:
        async with asking(url, self.options) as asker:
            for board in tasks:
                replies = await asker.all(system, board.questions)
                self.samples += board.graded(system.name, replies)
        self.done(tasks[0].seed, system.name)

    async def attempts(self, agents: list[str]) -> None:
        """Best-of-n by the best agent, by the one that a router names, and by all in turn."""
        plain = list(self.samples)
        for seed in self.seeds:
            with cluster(self.options, seed) as url:
                async with asking(url, self.options) as asker:
                    for board in self.boards(seed):
                        fitted = [sample for sample in plain if sample.board == board.name]
                        await self.attempted(asker, board, ranking(fitted, agents))
            self.done(seed, "best of n")

    async def attempted(self, asker: Asker, board: Board, ranks: dict) -> None:
        most = self.options.attempts
        numbers = range(1, most + 1)

        def repeated(family: bool) -> list[list[tuple[str, int]]]:
            best = [ranks[q.family if family else "", q.fold][0] for q in board.questions]
            return [[(agent, number) for number in numbers] for agent in best]

        in_turn = [[(agent, 1) for agent in ranks[q.family, q.fold]] for q in board.questions]
        plans = {boards.BEST: repeated(False), boards.ROUTED: repeated(True)}
        plans[boards.IN_TURN] = in_turn
        taken = await Attempts(asker).all(board.questions, plans)
        for plan, tried in taken.items():
            said = list(zip(board.questions, tried, strict=True))
            flat = [(question.id, one.text) for question, replies in said for one in replies]
            grades = iter(board.key.grades(flat))
            chains = [Chain(replies, [next(grades) for _ in replies]) for replies in tried]
            for n in range(1, (most if plan != boards.IN_TURN else len(in_turn[0])) + 1):
                replies, right = zip(*(chain.best_of(n) for chain in chains))
                self.samples += board.samples(boards.best_of(plan, n), list(replies), list(right))

    async def noise(self) -> None:
        """The Conductor with lots in place of verdicts, as many passes as its first round had."""
        for seed in self.seeds:
            for board in self.boards(seed):
                first = self.of(board.name, boards.conductor(1))
                passed = [one.passed for one in first if one.passed is not None]
                rate = Share(sum(passed), len(passed)).rate
                for system in map(boards.by_lot, conductors()[1:-1]):
                    with cluster(self.options, seed, rate) as url:
                        await self.ask(url, [board], system)


async def offered(client: openai.AsyncOpenAI, options: argparse.Namespace):
    """What there is to compare, and all that another run needs to repeat it."""
    models = {model.id: model async for model in client.models.list()}
    agents = [name for name, model in models.items() if model.baton["kind"] == "agent"]
    strategies = [name for name in models if name.startswith("baton/")]
    systems = conductors() + [System(name, name) for name in (*agents, *strategies)]
    if options.systems:
        known = {system.name: system for system in systems}
        wanted = options.systems.split(",")
        unknown = [name for name in wanted if name not in known]
        if unknown:
            sys.exit(f"no such system: {', '.join(unknown)}; there are {', '.join(known)}")
        systems = [known[name] for name in wanted]
    providers = sorted({models[name].owned_by for name in agents})
    about = {
        "simulation": providers == [SIMULATED],
        "parameters": await parameters(client) if providers == [SIMULATED] else None,
        "tasks": {boards.ALL: options.count, boards.HARD: options.hard},
        "seeds": list(range(options.seed, options.seed + options.seeds)),
        "attempts": options.attempts,
        "concurrency": options.concurrency,
        "openai": openai.__version__,
        "providers": providers,
        "agents": [name for name in agents if name in {system.name for system in systems}],
        "systems": [system.name for system in systems],
    }
    return about, systems


async def simulation(client: openai.AsyncOpenAI) -> str:
    """Where the simulated pool of a Baton says how it is simulated."""
    config = await client.get("/config", cast_to=object)
    return config["settings"]["providers"][SIMULATED]["base_url"].removesuffix("/v1") + "/sim"


async def parameters(client: openai.AsyncOpenAI) -> str:
    """The fingerprint of the simulated models' parameters, as they tell it themselves."""
    with urlopen(await simulation(client)) as about:
        return json.load(about)["parameters"]


def caption(about: dict) -> str:
    """What the tables are, in words that must not be taken from them."""
    if about["simulation"]:
        words = ["A SIMULATION: every model, skill and price in it is made up."]
        words.append(f"Parameters {about['parameters']}.")
    else:
        words = [f"Models of {', '.join(about['providers'])}; prices as configured."]
    seeds = ", ".join(map(str, about["seeds"]))
    words.append(f"Seeds {seeds}. An answer that its budget or deadline did not allow is wrong;")
    words.append("failures of the infrastructure are left out.")
    return " ".join(words)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
