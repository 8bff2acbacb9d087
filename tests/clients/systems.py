"""Asks systems through the official OpenAI client: what they say, and what it took."""

import asyncio
import sys
import time
from dataclasses import dataclass, field

import openai

from tasks import Question

# Longest wait for one answer, in seconds.
ANSWER_SECONDS = 600
# How runs end that spent what they were given: the system's own failure.
SPENT = ("budget_exceeded", "deadline_exceeded")
# Statuses of requests that are wrong in themselves: no evaluation at all.
WRONG = {400, 401, 403, 404, 405, 413, 415, 422}


@dataclass(frozen=True)
class System:
    """Whom to ask, and how."""

    name: str
    model: str
    # What the request says to Baton.
    baton: dict = field(default_factory=dict)
    # Whether it is given the check of a question that has one.
    checked: bool = False


@dataclass
class Reply:
    """What a system said to a question."""

    text: str = ""
    calls: int = 0
    tokens: int = 0
    dollars: float = 0.0
    # Calls on the longest chain of calls that had to wait for one another.
    chain: int = 0
    seconds: float = 0.0
    # What the check said of it; None where there was none, or it could not tell.
    passed: bool | None = None
    # Why there is no answer.
    failure: str | None = None
    # The run, or the call, in the words of its response.
    run: str | None = None

    @property
    def lost(self) -> bool:
        """Whether the system was not at fault."""
        return self.failure is not None and self.failure not in SPENT


class Asker:
    """Asks one Baton, with so many requests at the same time."""

    def __init__(self, client: openai.AsyncOpenAI, concurrency: int):
        self.client = client
        self.room = asyncio.Semaphore(concurrency)

    async def all(self, system: System, questions: list[Question]) -> list[Reply]:
        """A reply to each question."""
        return await asyncio.gather(*(self.ask(system, question) for question in questions))

    async def ask(self, system: System, question: Question, seed: int | None = None) -> Reply:
        """A reply with what it took; where there is none, why."""
        extra = dict(system.baton)
        if system.checked and question.verify:
            extra["verify"] = question.verify
        request = {
            "model": system.model,
            "messages": [{"role": "user", "content": question.prompt}],
            "seed": openai.omit if seed is None else seed,
            "extra_body": {"baton": extra} if extra else None,
        }
        take = self._streamed if question.streamed else self._whole
        async with self.room:
            reply, begun = Reply(), time.monotonic()
            try:
                await take(request, reply)
            except openai.APIError as error:
                if getattr(error, "status_code", None) in WRONG:
                    sys.exit(f"{system.name} refused {question.id}: {error.message}")
                reply.text = ""
                reply.failure = error.code or type(error).__name__
                reply.run = reply.run or getattr(error, "request_id", None)
            reply.seconds = time.monotonic() - begun
            if reply.failure in SPENT:
                taken(reply, await self.client.get(f"/runs/{reply.run}", cast_to=object))
            return reply

    async def _whole(self, request: dict, reply: Reply) -> None:
        done = await self.client.chat.completions.create(**request)
        reply.text = done.choices[0].message.content
        used(reply, done)

    async def _streamed(self, request: dict, reply: Reply) -> None:
        stream = await self.client.chat.completions.create(
            **request, stream=True, stream_options={"include_usage": True}
        )
        reply.run = stream.response.headers["x-request-id"]
        async for chunk in stream:
            reply.text += "".join(choice.delta.content or "" for choice in chunk.choices)
            if chunk.usage:
                used(reply, chunk)


def used(reply: Reply, response) -> None:
    """Notes what a response says of its cost: that of a run, or of one call."""
    report = getattr(response, "baton", None) or {}
    if "rounds" in report:
        return taken(reply, report)
    usage = response.usage
    reply.calls, reply.chain, reply.dollars = usage.calls, usage.calls, usage.cost
    reply.tokens = usage.prompt_tokens + usage.completion_tokens


def taken(reply: Reply, report: dict) -> None:
    """Notes what the report of a run says."""
    usage = report["usage"]
    reply.run = report["id"]
    reply.calls, reply.dollars = usage["calls"], usage["usd"]
    reply.tokens = usage["tokens_in"] + usage["tokens_out"]
    reply.chain = chain(report)
    reply.passed = verdict(report)


def verdict(report: dict) -> bool | None:
    """What the last check of a run said."""
    checks = [check for turn in report["rounds"] for check in turn.get("checks", [])]
    verdicts = [check.get("verdict") for check in checks if check["kind"] == "check"]
    last = verdicts[-1] if verdicts else None
    return {"pass": True, "fail": False}.get(last["kind"]) if last else None


def chain(report: dict) -> int:
    """Calls on the longest chain: rounds follow one another, and in each the plan, the steps
    as far as they see one another, and the checks."""
    return sum(map(round_chain, report["rounds"]))


def round_chain(turn: dict) -> int:
    ends: list[int] = []
    for step in turn["steps"]:
        children = step.get("runs", [])
        own = step["calls"] - sum(child["usage"]["calls"] for child in children)
        before = max((ends[seen] for seen in step["sees"]), default=0)
        ends.append(before + own + sum(map(chain, children)))
    around = turn.get("planning", {}).get("calls", 0)
    around += sum(check["calls"] for check in turn.get("checks", []))
    return around + max(ends, default=0)
