"""What samples say about systems: shares with their confidence, differences, and tables."""

import math
import random
from collections import Counter, defaultdict
from dataclasses import dataclass
from statistics import mean

from systems import Reply
from tasks import FOLDS, Question

# Two-sided 95 % of the normal distribution.
Z = 1.959964
# Samples drawn for an interval of a difference, and the part of them outside of it.
RESAMPLES, OUTSIDE = 2000, 0.05


@dataclass(frozen=True)
class Sample:
    """One task given to one system."""

    board: str
    seed: int
    # Which of the board's tasks of this seed.
    place: int
    system: str
    task: str
    family: str
    fold: int
    # None where the infrastructure failed, which says nothing about the system's answers.
    right: bool | None
    # What the check said, where there was one.
    passed: bool | None
    # Why there is no answer, as the error's name.
    failure: str | None
    calls: int
    tokens: int
    dollars: float
    chain: int
    seconds: float

    @classmethod
    def of(
        cls, at: tuple[str, int, int], system: str, question: Question, reply: Reply, right: bool
    ) -> "Sample":
        board, seed, place = at
        return cls(
            board=board,
            seed=seed,
            place=place,
            system=system,
            task=question.id,
            family=question.family,
            fold=question.fold,
            right=None if reply.lost else right and reply.failure is None,
            passed=reply.passed,
            failure=reply.failure,
            calls=reply.calls,
            tokens=reply.tokens,
            dollars=reply.dollars,
            chain=reply.chain,
            seconds=reply.seconds,
        )


@dataclass(frozen=True)
class Share:
    """So many of so many."""

    hits: int
    of: int

    @classmethod
    def right(cls, samples: list[Sample]) -> "Share":
        graded = [sample.right for sample in samples if sample.right is not None]
        return cls(sum(graded), len(graded))

    @property
    def rate(self) -> float:
        return self.hits / self.of if self.of else 0.0

    def wilson(self) -> tuple[float, float]:
        """The 95 % confidence interval: E. B. Wilson, J. Am. Stat. Assoc. 22, 209 (1927)."""
        if self.of == 0:
            return 0.0, 1.0
        rate, square = self.hits / self.of, Z * Z / self.of
        middle = rate + square / 2
        spread = Z * math.sqrt(rate * (1 - rate) / self.of + square / self.of / 4)
        low, high = (middle - spread) / (1 + square), (middle + spread) / (1 + square)
        return max(0.0, low), min(1.0, high)

    def __str__(self) -> str:
        return f"{100 * self.hits / self.of:.1f} %" if self.of else "–"


@dataclass(frozen=True)
class Difference:
    """How much more often one system is right than another, on the same tasks."""

    # For each task 1 where only the first is right, -1 where only the second is; by seed.
    by_seed: dict[int, list[int]]

    @classmethod
    def between(cls, first: list[Sample], second: list[Sample]) -> "Difference":
        others = {(sample.seed, sample.place): sample.right for sample in second}
        by_seed = defaultdict(list)
        for sample in first:
            other = others.get((sample.seed, sample.place))
            if sample.right is not None and other is not None:
                by_seed[sample.seed].append(sample.right - other)
        return cls(dict(by_seed))

    @property
    def tasks(self) -> list[int]:
        return [one for tasks in self.by_seed.values() for one in tasks]

    def interval(self) -> tuple[float, float]:
        """Of 95 %, by drawing the tasks again, with replacement; the same each time."""
        tasks, lots = self.tasks, random.Random(1)
        if not tasks:
            return -1.0, 1.0
        kinds = Counter(tasks)
        drawn = sorted(
            sum(lots.choices(list(kinds), list(kinds.values()), k=len(tasks))) / len(tasks)
            for _ in range(RESAMPLES)
        )
        cut = int(RESAMPLES * OUTSIDE / 2)
        return drawn[cut], drawn[-1 - cut]


def ranking(samples: list[Sample], agents: list[str]) -> dict[tuple[str, int], list[str]]:
    """For each family and half, the agents from the best on; "" stands for all families.

    The rank for a half is what the other half of the tasks says, so that nobody is scored on
    what he was chosen by. Of equally good agents the cheaper one is first.
    """
    groups = defaultdict(list)
    for sample in samples:
        for family in (sample.family, ""):
            groups[family, sample.fold, sample.system].append(sample)
    families = {family for family, _, _ in groups}
    return {
        (family, fold): sorted(
            agents,
            key=lambda agent: merit(groups[family, (fold + 1) % FOLDS, agent]),
            reverse=True,
        )
        for family in families
        for fold in range(FOLDS)
    }


def merit(samples: list[Sample]) -> tuple[float, float]:
    """What a rank goes by: the share that is right, then the price."""
    share = Share.right(samples)
    return share.hits / max(share.of, 1), -sum(sample.dollars for sample in samples)


def routed(samples: list[Sample], ranks: dict[tuple[str, int], list[str]]) -> list[Sample]:
    """What a router to the best agent of each family would have got."""
    return [
        sample
        for sample in samples
        if sample.system == ranks.get((sample.family, sample.fold), [None])[0]
    ]


def means(samples: list[Sample]) -> tuple[float, float, float, float]:
    """Calls, tokens, dollars and the longest chain of calls of a task."""
    kept = [sample for sample in samples if sample.right is not None]
    if not kept:
        return math.nan, math.nan, math.nan, math.nan
    values = zip(*((s.calls, s.tokens, s.dollars, s.chain) for s in kept))
    return tuple(map(mean, values))


def markdown(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def table(rows: list[tuple[str, list[Sample]]]) -> str:
    """A row for each system with its samples."""
    head = ["system", "right", "95 % interval", "calls", "tokens", "$ per 1000 tasks"]
    head += ["longest chain", "no answer", "infrastructure"]
    return markdown(head, [row(name, samples) for name, samples in rows])


def row(name: str, samples: list[Sample]) -> list[str]:
    share = Share.right(samples)
    low, high = share.wilson()
    calls, tokens, dollars, chain = means(samples)
    lost = sum(sample.right is None for sample in samples)
    silent = sum(sample.right is False and sample.failure is not None for sample in samples)
    cost = [f"{calls:.2f}", f"{tokens:.0f}", f"{1000 * dollars:.3f}", f"{chain:.2f}"]
    interval = f"{100 * low:.1f} to {100 * high:.1f}"
    return [name, str(share), interval, *cost, str(silent), str(lost)]


def comparisons(pairs: list[tuple[str, list[Sample], str, list[Sample]]]) -> str:
    """A row for each pair of systems with their samples."""
    head = ["system", "against", "difference, points", "95 % interval", "only it, only the other"]
    head += ["calls", "$", "seed by seed"]
    return markdown(head, [compared(*pair) for pair in pairs])


def compared(name: str, first: list[Sample], other: str, second: list[Sample]) -> list[str]:
    difference = Difference.between(first, second)
    tasks = difference.tasks
    low, high = difference.interval()
    one, two = means(first), means(second)
    seeds = " ".join(f"{100 * mean(tasks):+.1f}" for tasks in difference.by_seed.values())
    return [
        name,
        other,
        f"{100 * mean(tasks):+.1f}" if tasks else "–",
        f"{100 * low:+.1f} to {100 * high:+.1f}",
        f"{tasks.count(1)}, {tasks.count(-1)}",
        f"× {one[0] / two[0]:.2f}",
        f"× {one[2] / two[2]:.2f}",
        seeds,
    ]


def failures(samples: list[Sample]) -> Counter:
    """How often each kind of failure was met."""
    return Counter(sample.failure for sample in samples if sample.failure)
