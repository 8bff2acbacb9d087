#!/usr/bin/env python3
"""Compares Baton with its single agents, their best router and its strategies.

Every system answers the same generated tasks through the official OpenAI client, half of
them streamed; `baton tasks --grade` grades the answers. Failures of the infrastructure are
counted apart, and never as wrong answers. Against simulated models the result says how the
parts of Baton work together, and nothing about any real model.

  .venv/bin/python tests/clients/evaluate.py --count 200 --out results.json
  .venv/bin/python tests/clients/evaluate.py --endpoint http://127.0.0.1:8484/v1
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.request import urlopen

import openai

from cluster import baton_up, binary, serving
from scores import FOLDS, Sample, failures, routed, table

# The provider of the simulated models.
SIMULATED = "sim"
# Longest wait for one answer, in seconds.
ANSWER_SECONDS = 600
# How runs end that spent what they were given: the system's own failure.
SPENT = ("budget_exceeded", "deadline_exceeded")
# Statuses of requests that are wrong in themselves: no evaluation at all.
WRONG = {400, 401, 403, 404, 405, 413, 415, 422}
ROUTER = "router: best agent per family"


def main(argv: list[str]) -> int:
    options = arguments(argv)
    with cluster(options) as url:
        about, samples = asyncio.run(evaluate(url, options))
    agents = about["agents"]
    rows = [(name, of(samples, name)) for name in about["systems"]]
    if len(agents) > 1:
        taken, about["router"] = routed(samples, agents)
        rows.append((ROUTER, taken))
    print(table(rows))
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
    add("--count", type=int, default=400, help="tasks, all families and difficulties (400)")
    add("--seed", type=int, default=1, help="seed of the tasks (1)")
    add("--systems", help="models, separated by commas (baton, all agents, all strategies)")
    add("--concurrency", type=int, default=16, help="requests at the same time (16)")
    add("--endpoint", metavar="URL", help="a running Baton's base URL; without, one is started")
    add("--key-env", default="BATON_API_KEY", metavar="NAME", help="variable with its key")
    add("--sim-seed", type=int, default=0, help="seed of the started simulation (0)")
    add("--sim-time-scale", type=float, default=0, help="its speed; 0 waits for nothing (0)")
    add("--out", type=Path, metavar="FILE", help="writes every sample, as JSON")
    options = parser.parse_args(argv)
    if options.count < 1 or options.concurrency < 1:
        parser.error("--count and --concurrency must be at least 1")
    return options


@contextmanager
def cluster(options: argparse.Namespace):
    """The base URL of the Baton to ask."""
    if options.endpoint:
        yield options.endpoint
        return
    seed, scale = str(options.sim_seed), str(options.sim_time_scale)
    with baton_up("--simulated", "--sim-seed", seed, "--sim-time-scale", scale) as url:
        yield url


@dataclass
class Reply:
    """What a system said to a task."""

    text: str = ""
    calls: int = 0
    dollars: float = 0.0
    seconds: float = 0.0
    # Why there is no answer.
    failure: str | None = None
    # The run, or the call, in the words of its response.
    run: str | None = None

    @property
    def lost(self) -> bool:
        """Whether the system was not at fault."""
        return self.failure is not None and self.failure not in SPENT


async def evaluate(url: str, options: argparse.Namespace) -> tuple[dict, list[Sample]]:
    tasks = generated(options.count, options.seed)
    key = os.environ.get(options.key_env) or "none"
    async with openai.AsyncOpenAI(base_url=url, api_key=key, timeout=ANSWER_SECONDS) as client:
        about = await offered(client, options)
        samples = []
        # One after the other, so that none is slowed by another.
        for system in about["systems"]:
            samples += await answers(client, system, tasks, options.concurrency)
            print(f"{system}: done", file=sys.stderr)
    return about, samples


async def offered(client: openai.AsyncOpenAI, options: argparse.Namespace) -> dict:
    """What there is to compare, and all that another run needs to repeat it."""
    models = {model.id: model async for model in client.models.list()}
    strategies = [name for name in models if name.startswith("baton/")]
    agents = [name for name, model in models.items() if model.baton["kind"] == "agent"]
    systems = ["baton", *agents, *strategies]
    if options.systems:
        systems = options.systems.split(",")
    unknown = [name for name in systems if name not in models]
    if unknown:
        sys.exit(f"no such model: {', '.join(unknown)}; there are {', '.join(models)}")
    providers = sorted({models[name].owned_by for name in agents})
    here = not options.endpoint
    return {
        "simulation": providers == [SIMULATED],
        "parameters": parameters() if here else None,
        "sim_seed": options.sim_seed if here else None,
        "sim_time_scale": options.sim_time_scale if here else None,
        "tasks": options.count,
        "seed": options.seed,
        "concurrency": options.concurrency,
        "openai": openai.__version__,
        "providers": providers,
        "agents": [name for name in agents if name in systems],
        "systems": systems,
    }


def parameters() -> str:
    """The fingerprint of the simulated models' parameters, as they tell it themselves."""
    command = [binary(), "sim", "--listen", "127.0.0.1:0", "--time-scale", "0"]
    with serving(command, says="models on ") as url:
        with urlopen(url.removesuffix("/v1") + "/sim") as about:
            return json.load(about)["parameters"]


def generated(count: int, seed: int) -> list[dict]:
    """Tasks, with the half they belong to and whether their answers are streamed.

    Both are dealt out within each family, whose difficulties follow one another: each half
    has all of them, and each is streamed as often as not.
    """
    command = [binary(), "tasks", "--count", str(count), "--seed", str(seed)]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    seen = Counter()
    tasks = []
    for task in map(json.loads, lines.splitlines()):
        place = seen[task["family"]]
        seen[task["family"]] += 1
        streamed = place // FOLDS % 2 == 1
        tasks.append({"task": task, "fold": place % FOLDS, "streamed": streamed})
    return tasks


async def answers(
    client: openai.AsyncOpenAI, system: str, tasks: list[dict], concurrency: int
) -> list[Sample]:
    """One system's samples, graded."""
    room = asyncio.Semaphore(concurrency)

    async def one(task: dict) -> Reply:
        async with room:
            return await answer(client, system, task)

    replies = await asyncio.gather(*(one(task) for task in tasks))
    pairs = list(zip(tasks, replies, strict=True))
    right = graded([(task["task"], reply.text) for task, reply in pairs])
    return [
        sample(system, task, reply, verdict)
        for (task, reply), verdict in zip(pairs, right, strict=True)
    ]


async def answer(client: openai.AsyncOpenAI, system: str, task: dict) -> Reply:
    """A reply with what it cost; where there is none, why."""
    messages = [{"role": "user", "content": task["task"]["prompt"]}]
    ask = streamed if task["streamed"] else whole
    reply, begun = Reply(), time.monotonic()
    try:
        await ask(client, system, messages, reply)
    except openai.APIError as error:
        if getattr(error, "status_code", None) in WRONG:
            sys.exit(f"{system} refused task {task['task']['id']}: {error.message}")
        reply.text = ""
        reply.failure = error.code or type(error).__name__
        reply.run = reply.run or getattr(error, "request_id", None)
    reply.seconds = time.monotonic() - begun
    if reply.failure in SPENT:
        report = await client.get(f"/runs/{reply.run}", cast_to=object)
        reply.calls, reply.dollars = report["usage"]["calls"], report["usage"]["usd"]
    return reply


async def whole(client: openai.AsyncOpenAI, system: str, messages: list[dict], reply: Reply):
    done = await client.chat.completions.create(model=system, messages=messages)
    reply.text = done.choices[0].message.content
    reply.calls, reply.dollars = done.usage.calls, done.usage.cost


async def streamed(client: openai.AsyncOpenAI, system: str, messages: list[dict], reply: Reply):
    stream = await client.chat.completions.create(
        model=system, messages=messages, stream=True, stream_options={"include_usage": True}
    )
    reply.run = stream.response.headers["x-request-id"]
    async for chunk in stream:
        reply.text += "".join(choice.delta.content or "" for choice in chunk.choices)
        if chunk.usage:
            reply.calls, reply.dollars = chunk.usage.calls, chunk.usage.cost


def graded(replies: list[tuple[dict, str]]) -> list[bool]:
    """Whether each reply to a task is right."""
    lines = "".join(json.dumps({"task": task, "reply": text}) + "\n" for task, text in replies)
    command = [binary(), "tasks", "--grade"]
    done = subprocess.run(command, input=lines, check=True, capture_output=True, text=True)
    verdicts = [json.loads(line) for line in done.stdout.splitlines()]
    if [verdict["id"] for verdict in verdicts] != [task["id"] for task, _ in replies]:
        raise RuntimeError("the grades are not those of the replies")
    return [verdict["right"] for verdict in verdicts]


def sample(system: str, task: dict, reply: Reply, right: bool) -> Sample:
    return Sample(
        system=system,
        task=task["task"]["id"],
        family=task["task"]["family"],
        fold=task["fold"],
        streamed=task["streamed"],
        right=None if reply.lost else right and reply.failure is None,
        failure=reply.failure,
        calls=reply.calls,
        dollars=reply.dollars,
        seconds=reply.seconds,
    )


def of(samples: list[Sample], system: str) -> list[Sample]:
    return [sample for sample in samples if sample.system == system]


def caption(about: dict) -> str:
    """What the table is, in words that must not be taken from it."""
    if about["simulation"]:
        what = "A SIMULATION: every model, skill and price in it is made up."
    else:
        what = f"Models of {', '.join(about['providers'])}; prices as configured."
    words = [what, f"{about['tasks']} tasks of seed {about['seed']}."]
    if about["parameters"]:
        words.append(f"Parameters {about['parameters']}, seed {about['sim_seed']}.")
    if about["sim_time_scale"] == 0:
        words.append("The models do not wait: p50 is the time of everything around them,")
        words.append(f"with {about['concurrency']} requests at the same time.")
    if "router" in about:
        words.append("The router is fitted on one half of the tasks and scored on the other,")
        words.append("both ways round.")
    words.append("An answer that its budget or deadline did not allow is wrong; failures of the")
    words.append("infrastructure are left out.")
    return " ".join(words)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
