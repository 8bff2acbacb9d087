"""What samples say about systems: shares with their confidence, sums, and a Markdown table."""

import math
from collections import Counter, defaultdict
from dataclasses import dataclass
from statistics import median

# Two-sided 95 % of the normal distribution.
Z = 1.959964
# Of the tasks of a family, every other one: see `routed`.
FOLDS = 2


@dataclass(frozen=True)
class Sample:
    """One task given to one system."""

    system: str
    task: str
    family: str
    fold: int
    streamed: bool
    # None where the infrastructure failed, which says nothing about the system's answers.
    right: bool | None
    # Why there is no answer, as the error's name.
    failure: str | None
    calls: int
    dollars: float
    seconds: float


@dataclass(frozen=True)
class Share:
    """So many of so many."""

    hits: int
    of: int

    @classmethod
    def right(cls, samples: list[Sample]) -> "Share":
        graded = [sample.right for sample in samples if sample.right is not None]
        return cls(sum(graded), len(graded))

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


def routed(samples: list[Sample], agents: list[str]) -> tuple[list[Sample], dict]:
    """What a router to the best agent of each family would have got, and whom it chose.

    It is never scored on the tasks it was fitted on: each half of the tasks is scored with
    the choice that the other half suggests. Of equally good agents the cheaper one is chosen.
    """
    groups = defaultdict(list)
    for sample in samples:
        if sample.system in agents:
            groups[sample.family, sample.fold, sample.system].append(sample)
    families = sorted({family for family, _, _ in groups})
    taken, chosen = [], {}
    for family in families:
        for fold in range(FOLDS):
            other = (fold + 1) % FOLDS
            worth = {agent: merit(groups[family, other, agent]) for agent in agents}
            best = max(worth, key=worth.get)
            chosen[f"{family}/{fold}"] = best
            taken += groups[family, fold, best]
    return taken, chosen


def merit(samples: list[Sample]) -> tuple[float, float]:
    """What a router goes by: the share that is right, then the price."""
    share = Share.right(samples)
    return share.hits / max(share.of, 1), -sum(sample.dollars for sample in samples)


def table(rows: list[tuple[str, list[Sample]]]) -> str:
    """A row for each system with its samples."""
    families = sorted({sample.family for _, samples in rows for sample in samples})
    head = ["system", "right", "95 % interval", *families]
    head += ["calls per task", "$ per 1000 tasks", "p50 ms", "no answer", "infrastructure"]
    lines = [head, ["---"] + ["---:"] * (len(head) - 1)]
    lines += [row(name, samples, families) for name, samples in rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def row(name: str, samples: list[Sample], families: list[str]) -> list[str]:
    share = Share.right(samples)
    low, high = share.wilson()
    graded = [sample for sample in samples if sample.right is not None]
    count = max(len(graded), 1)
    calls = sum(sample.calls for sample in graded) / count
    dollars = 1000 * sum(sample.dollars for sample in graded) / count
    ms = 1000 * median(sample.seconds for sample in graded) if graded else math.nan
    by_family = [
        str(Share.right([sample for sample in samples if sample.family == family]))
        for family in families
    ]
    lost = sum(sample.right is None for sample in samples)
    silent = sum(sample.right is False and sample.failure is not None for sample in samples)
    interval = f"{100 * low:.1f} to {100 * high:.1f}"
    cost = [f"{calls:.2f}", f"{dollars:.3f}", f"{ms:.0f}", str(silent), str(lost)]
    return [name, str(share), interval, *by_family, *cost]


def failures(samples: list[Sample]) -> Counter:
    """How often each kind of failure was met."""
    return Counter(sample.failure for sample in samples if sample.failure)
