"""The evaluation: its arithmetic, a small one from end to end, what its verdicts are good for,
and that nothing which it grades with reaches what it grades."""

import asyncio
import json
from dataclasses import asdict, replace
from urllib.request import urlopen

import pytest

import boards
import evaluate
from attempts import Chain
from cluster import baton_up
from scores import Difference, Sample, Share, means, ranking, routed, row, table
from systems import Reply, System, chain
from tasks import apart, printed


def taken(system: str, family: str, fold: int, right: bool | None, dollars: float = 0.0) -> Sample:
    lost = right is None
    return Sample(
        board=boards.ALL,
        seed=1,
        place=fold,
        system=system,
        task=f"{family}-{fold}",
        family=family,
        fold=fold,
        right=right,
        passed=None,
        failure="unavailable" if lost else None,
        calls=0 if lost else 1,
        tokens=0 if lost else 10,
        dollars=dollars,
        chain=0 if lost else 1,
        seconds=0.1,
    )


@pytest.mark.parametrize(
    ("hits", "of", "low", "high"),
    # The first two from the table of R. G. Newcombe, Stat. Med. 17, 857 (1998), method 3.
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 0, 0, 1), (5, 5, 0.5655, 1)],
)
def test_intervals_are_wilsons(hits, of, low, high):
    assert Share(hits, of).wilson() == pytest.approx((low, high), abs=1e-4)


def test_differences_are_of_the_same_tasks():
    # 30 of 100 tasks are won and 10 lost: 20 points, with a standard error of 6.
    kinds = [(True, False)] * 30 + [(False, True)] * 10 + [(True, True)] * 60
    pairs = [
        [replace(taken("x", "sums", 0, right), place=place) for right in pair]
        for place, pair in enumerate(kinds)
    ]
    first, second = ([pair[at] for pair in pairs] for at in (0, 1))
    # Their order does not matter, and what the infrastructure lost is left out.
    second = [replace(second[0], place=100, right=None), *reversed(second)]
    difference = Difference.between([*first, replace(first[0], place=100)], second)
    assert (difference.tasks.count(1), difference.tasks.count(-1)) == (30, 10)
    assert difference.interval() == pytest.approx((0.08, 0.32), abs=0.015)


def test_a_failure_of_the_infrastructure_is_no_wrong_answer():
    samples = [taken("a", "sums", 0, True), taken("a", "sums", 1, None)]
    assert Share.right(samples) == Share(1, 1)
    assert row("a", samples)[-1] == "1"
    assert means(samples)[:2] == (1, 10)


def test_the_router_is_never_scored_on_what_it_was_fitted_on():
    # Each agent is right on one half alone: whoever looks best there is wrong on the other.
    samples = [
        taken(agent, "sums", fold, right=(fold == good))
        for agent, good in (("a", 0), ("b", 1))
        for fold in (0, 1)
    ]
    ranks = ranking(samples, ["a", "b"])
    assert (ranks["sums", 0], ranks["sums", 1]) == (["b", "a"], ["a", "b"])
    assert Share.right(routed(samples, ranks)) == Share(0, 2)


def test_the_router_takes_the_cheaper_of_two_equals():
    samples = [
        taken(agent, "sums", fold, True, dollars)
        for agent, dollars in (("dear", 2.0), ("cheap", 1.0))
        for fold in (0, 1)
    ]
    assert {agents[0] for agents in ranking(samples, ["dear", "cheap"]).values()} == {"cheap"}


def test_a_table_has_a_row_for_each_system():
    text = table([("a", [taken("a", "sums", 0, True), taken("a", "words", 0, False)])])
    head, _, line = text.splitlines()
    assert head.startswith("| system | right | 95 % interval | calls |")
    assert line.startswith("| a | 50.0 % | 9.5 to 90.5 | 1.00 | 10 |")


def test_the_longest_chain_is_of_calls_that_wait_for_one_another():
    def step(calls, sees, runs=()):
        return {"calls": calls, "sees": sees, "runs": list(runs)}

    beside = {"steps": [step(1, []), step(1, []), step(2, [0, 1])], "planning": {"calls": 2}}
    child = {"usage": {"calls": 6}, "rounds": [beside]}
    # Two plans, then a step of its own beside a child run with five calls in a row, then a
    # judge.
    judged = {"steps": [step(1, []), step(6, [], [child])], "checks": [{"calls": 1}]}
    assert chain({"rounds": [beside]}) == 5
    assert chain({"rounds": [beside, judged]}) == 5 + 6


def test_the_best_of_n_is_the_first_that_passes():
    replies = [Reply(text=text, calls=1, chain=1, passed=text == "b") for text in "ab"]
    tried = Chain(replies, [False, True])
    first, second, most = (tried.best_of(n) for n in (1, 2, 16))
    assert (first[0].text, first[0].calls, first[1]) == ("a", 1, False)
    assert (second[0].text, second[0].calls, second[1]) == ("b", 2, True)
    assert most == second


def test_tasks_are_dealt_out_evenly():
    questions, _ = apart(printed(160, 3))
    families = {question.family for question in questions}
    assert len(families) == 8
    for family in families:
        dealt = [question for question in questions if question.family == family]
        assert sum(question.fold for question in dealt) == len(dealt) / 2
        assert sum(question.streamed for question in dealt) == len(dealt) / 2


def test_a_small_evaluation(quick, tmp_path, capsys):
    out = tmp_path / "results.json"
    systems = "Conductor: 1 round,Conductor: 2 rounds,sim-sage,baton/reflect"
    arguments = ["--endpoint", quick, "--count", "16", "--hard", "8", "--seeds", "1"]
    arguments += ["--attempts", "2", "--systems", systems, "--out", str(out)]
    assert evaluate.main(arguments) == 0
    printed_text = capsys.readouterr().out
    assert "A SIMULATION" in printed_text
    for line in ("| sim-sage |", "| Conductor: 2 rounds | Conductor: 1 round |"):
        assert printed_text.count(f"\n{line}") == 2, printed_text
    results = json.loads(out.read_text())
    samples = results["samples"]
    asked = [sample for sample in samples if sample["system"] in systems.split(",")]
    assert len(asked) == 4 * (16 + 8)
    assert not [sample["failure"] for sample in samples if sample["failure"]]
    right = dict.fromkeys(systems.split(","), 0)
    for sample in asked:
        right[sample["system"]] += sample["right"]
        assert 1 <= sample["chain"] <= sample["calls"]
        assert sample["dollars"] > 0
        # What fails the question's own check is wrong; what passes may still be.
        assert not sample["right"] or sample["passed"] in (None, True), sample
    # Far below what the parameters promise, and far above chance.
    assert min(right.values()) >= 8, right
    twice = [sample for sample in samples if sample["system"] == boards.best_of(boards.BEST, 2)]
    assert any(sample["calls"] == 2 for sample in twice)


def asked(url: str, systems: list[System], questions) -> list[list[Reply]]:
    """Each system's replies."""
    options = evaluate.arguments([])

    async def ask():
        async with evaluate.asking(url, options) as asker:
            return [await asker.all(system, questions) for system in systems]

    return asyncio.run(ask())


def calls(url: str) -> list[str]:
    """All that the simulated pool was asked and said, in an order that does not hang on time."""

    async def where():
        async with evaluate.asking(url, evaluate.arguments([])) as asker:
            return await evaluate.simulation(asker.client)

    with urlopen(asyncio.run(where()) + "/calls") as lines:
        records = [json.loads(line) for line in lines]
    assert records
    kept = ("surface", "model", "prompt", "reply", "occasion", "status", "tokens_in", "tokens_out")
    return sorted(json.dumps([record[name] for name in kept]) for record in records)


def test_a_second_round_lives_from_what_the_verifier_finds(quick):
    which = "--family countdown --difficulty 4 --difficulty 5".split()
    board = evaluate.Board(boards.HARD, 0, *apart(printed(80, 1, *which)))
    # Without a check there is no second round, but all else is the same.
    first = System("first", "baton", {"rounds": 2})
    both = replace(first, checked=True)
    before, after = (
        board.graded("", replies) for replies in asked(quick, [first, both], board.questions)
    )
    with evaluate.cluster(evaluate.arguments([]), 0, noise=Share.right(before).rate) as url:
        (replies,) = asked(url, [both], board.questions)
    by_lot = board.graded("", replies)
    lift, noise = (Difference.between(samples, before).tasks for samples in (after, by_lot))
    assert lift.count(-1) == 0, "an answer that was right was given up"
    print(Share.right(before), sum(lift), noise.count(1), noise.count(-1))
    # Each hangs on seeds alone, so this holds each time or never.
    assert sum(lift) >= 8
    assert sum(noise) <= sum(lift) / 3
    assert all(sample.passed == sample.right for sample in after)
    assert {sample.passed == sample.right for sample in by_lot} == {True, False}


def overwritten(task: dict) -> dict:
    """The same task with noise where its reference was."""
    noise = f"noise {task['id'][::-1]}"
    check = {"type": "text.exact", "expected": noise}
    return {**task, "hidden": {"answer": noise, "reference": {"check": check}}}


def evaluated(tasks: list[dict], leak=lambda question, hidden: question):
    """What the pool was asked and said, the answers, and how many of them are right."""
    questions, key = apart(tasks)
    systems = [System("sage", "sim-sage"), System("merged", "baton/mixture_of_agents")]
    systems += evaluate.conductors()[-1:]
    with baton_up("--simulated", "--sim-seed", "1", "--sim-time-scale", "0") as url:
        leaking = [leak(*each) for each in zip(questions, (task["hidden"] for task in tasks))]
        replies = asked(url, systems, leaking)
        seen = calls(url)
    answers = [(q.id, reply.text) for said in replies for q, reply in zip(questions, said)]
    return seen, answers, sum(key.grades(answers))


def test_no_reference_reaches_what_it_grades():
    tasks = printed(24, 5)
    seen, answers, right = evaluated(tasks)
    assert right >= len(answers) / 3
    noise_seen, noise_answers, noise_right = evaluated(list(map(overwritten, tasks)))
    assert noise_right == 0
    assert answers == noise_answers
    assert seen == noise_seen


def told(question, hidden):
    """A leak: whoever is asked can read the answer."""
    return replace(question, prompt=f"{question.prompt}\nHint: {hidden['answer']}")


def verified(question, hidden):
    """Another one: the run goes by what grades it."""
    return replace(question, verify=hidden["reference"]["check"])


@pytest.mark.parametrize("leak", [told, verified])
def test_a_reference_that_leaks_is_seen(leak):
    tasks = printed(4, 5, "--family", "countdown", "--difficulty", "4")
    seen, _, _ = evaluated(tasks, leak)
    noise_seen, _, _ = evaluated(list(map(overwritten, tasks)), leak)
    assert seen != noise_seen
