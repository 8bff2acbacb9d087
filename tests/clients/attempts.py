"""Best of n: single agents asked again, until Baton's own verifier passes an answer.

An attempt is a run of `baton/direct` that may go to one agent alone, with a seed of its own
and the check that the Conductor's runs have: the same verifier gives the verdict, and all
that is done with it is to stop. Where a question gives no check, the first answer is taken.
"""

import asyncio
from dataclasses import dataclass

from systems import Asker, Reply, System
from tasks import Question

# Whom to ask, and the number of the attempt, which is its seed.
Try = tuple[str, int]


@dataclass(frozen=True)
class Chain:
    """Replies to one question, one after the other; with a check, up to the first that passes."""

    replies: list[Reply]
    right: list[bool]

    def best_of(self, most: int) -> tuple[Reply, bool]:
        """What comes of at most so many attempts, and whether it is right."""
        taken = self.replies[:most]
        end = taken[-1]
        reply = Reply(
            text=end.text,
            calls=sum(reply.calls for reply in taken),
            tokens=sum(reply.tokens for reply in taken),
            dollars=sum(reply.dollars for reply in taken),
            chain=sum(reply.chain for reply in taken),
            seconds=sum(reply.seconds for reply in taken),
            passed=end.passed,
            failure=end.failure,
            run=end.run,
        )
        return reply, self.right[len(taken) - 1]


class Attempts:
    """Attempts at questions; the same one is made once."""

    def __init__(self, asker: Asker):
        self.asker = asker
        self.made: dict[tuple[int, Try], Reply] = {}

    async def until_passed(self, place: int, question: Question, tries: list[Try]) -> list[Reply]:
        replies = []
        for agent, number in tries if question.verify else tries[:1]:
            at = (place, (agent, number))
            if at not in self.made:
                direct = System(agent, "baton/direct", {"allow": [agent]}, checked=True)
                self.made[at] = await self.asker.ask(direct, question, seed=number)
            replies.append(self.made[at])
            if replies[-1].passed:
                break
        return replies

    async def all(
        self, questions: list[Question], plans: dict[str, list[list[Try]]]
    ) -> dict[str, list[list[Reply]]]:
        """For each plan, which says for each question whom to try, the replies."""

        async def one(place: int, question: Question) -> list[list[Reply]]:
            # One plan after the other: they share attempts.
            tries = [plan[place] for plan in plans.values()]
            return [await self.until_passed(place, question, each) for each in tries]

        done = await asyncio.gather(*(one(*each) for each in enumerate(questions)))
        return {name: [replies[at] for replies in done] for at, name in enumerate(plans)}
