"""Generated tasks: what a system may see, and apart from it what its answers are graded with."""

import json
import subprocess
from collections import Counter
from dataclasses import dataclass

from cluster import binary

# Of the tasks of a family, every other one: what is fitted on one half is scored on the other.
FOLDS = 2


@dataclass(frozen=True)
class Question:
    """All that is asked of a system, and all of a task that whoever asks is given."""

    id: str
    family: str
    difficulty: int
    prompt: str
    # The check that the question itself gives, as `baton.verify` takes it; None without one.
    verify: dict | None
    # The half it belongs to, and whether its answer is streamed.
    fold: int
    streamed: bool


class Key:
    """What tasks are graded with. It grades, and tells nothing else."""

    def __init__(self, hidden: dict[str, dict]):
        self.__hidden = hidden

    def grades(self, replies: list[tuple[str, str]]) -> list[bool]:
        """Whether each reply, beside the id of its task, is right."""
        lines = "".join(
            json.dumps({"task": {"id": task, "hidden": self.__hidden[task]}, "reply": reply}) + "\n"
            for task, reply in replies
        )
        command = [binary(), "tasks", "--grade"]
        done = subprocess.run(command, input=lines, check=True, capture_output=True, text=True)
        grades = [json.loads(line) for line in done.stdout.splitlines()]
        if [grade["id"] for grade in grades] != [task for task, _ in replies]:
            raise RuntimeError("the grades are not those of the replies")
        return [grade["right"] for grade in grades]


def printed(count: int, seed: int, *which: str) -> list[dict]:
    """The lines of `baton tasks`; `which` narrows them."""
    command = [binary(), "tasks", "--count", str(count), "--seed", str(seed), *which]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [json.loads(line) for line in lines.splitlines()]


def apart(tasks: list[dict]) -> tuple[list[Question], Key]:
    """What may be seen, and what may not.

    Halves and streams are dealt out within each family, whose difficulties follow one
    another: each half has all of them, and each is streamed as often as not.
    """
    seen = Counter()
    questions = []
    for task in tasks:
        place = seen[task["family"]]
        seen[task["family"]] += 1
        questions.append(
            Question(
                id=task["id"],
                family=task["family"],
                difficulty=task["difficulty"],
                prompt=task["prompt"],
                verify=task.get("verify"),
                fold=place % FOLDS,
                streamed=place // FOLDS % 2 == 1,
            )
        )
    return questions, Key({task["id"]: task["hidden"] for task in tasks})
