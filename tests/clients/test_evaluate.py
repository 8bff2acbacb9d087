"""The evaluation: its arithmetic, and a small one from end to end."""

import json

import pytest

import evaluate
from scores import Sample, Share, routed, row, table


def taken(system: str, family: str, fold: int, right: bool | None, dollars: float = 0.0) -> Sample:
    lost = right is None
    return Sample(
        system=system,
        task=f"{family}-{fold}",
        family=family,
        fold=fold,
        streamed=False,
        right=right,
        failure="unavailable" if lost else None,
        calls=0 if lost else 1,
        dollars=dollars,
        seconds=0.1,
    )


@pytest.mark.parametrize(
    ("hits", "of", "low", "high"),
    # The first two from the table of R. G. Newcombe, Stat. Med. 17, 857 (1998), method 3.
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 0, 0, 1), (5, 5, 0.5655, 1)],
)
def test_intervals_are_wilsons(hits, of, low, high):
    assert Share(hits, of).wilson() == pytest.approx((low, high), abs=1e-4)


def test_a_failure_of_the_infrastructure_is_no_wrong_answer():
    samples = [taken("a", "sums", 0, True), taken("a", "sums", 1, None)]
    assert Share.right(samples) == Share(1, 1)
    assert row("a", samples, ["sums"])[-1] == "1"


def test_the_router_is_never_scored_on_what_it_was_fitted_on():
    # Each agent is right on one half alone: whoever looks best there is wrong on the other.
    samples = [
        taken(agent, "sums", fold, right=(fold == good))
        for agent, good in (("a", 0), ("b", 1))
        for fold in (0, 1)
    ]
    chosen_samples, chosen = routed(samples, ["a", "b"])
    assert chosen == {"sums/0": "b", "sums/1": "a"}
    assert Share.right(chosen_samples) == Share(0, 2)


def test_the_router_takes_the_cheaper_of_two_equals():
    samples = [
        taken(agent, "sums", fold, True, dollars)
        for agent, dollars in (("dear", 2.0), ("cheap", 1.0))
        for fold in (0, 1)
    ]
    assert set(routed(samples, ["dear", "cheap"])[1].values()) == {"cheap"}


def test_a_table_has_a_column_for_each_family():
    text = table([("a", [taken("a", "sums", 0, True), taken("a", "words", 0, False)])])
    head, _, line = text.splitlines()
    assert "| sums | words |" in head
    assert line.startswith("| a | 50.0 % | 9.5 to 90.5 | 100.0 % | 0.0 % |")


def test_tasks_are_dealt_out_evenly():
    tasks = evaluate.generated(160, seed=3)
    families = {task["task"]["family"] for task in tasks}
    assert len(families) == 8
    for family in families:
        dealt = [task for task in tasks if task["task"]["family"] == family]
        for key in ("fold", "streamed"):
            values = [task[key] for task in dealt]
            assert sum(values) == len(values) / 2


def test_a_small_evaluation(quick, tmp_path, capsys):
    out = tmp_path / "results.json"
    systems = "baton,sim-sage,baton/reflect"
    arguments = ["--endpoint", quick, "--count", "24", "--systems", systems, "--out", str(out)]
    assert evaluate.main(arguments) == 0
    printed = capsys.readouterr().out
    assert "A SIMULATION" in printed
    lines = [line.split(" | ") for line in printed.splitlines() if line.startswith("| ")]
    assert [line[0] for line in lines[2:]] == ["| baton", "| sim-sage", "| baton/reflect"]
    results = json.loads(out.read_text())
    samples = results["samples"]
    assert len(samples) == 3 * 24
    assert not [sample["failure"] for sample in samples if sample["failure"]]
    assert {sample["streamed"] for sample in samples} == {True, False}
    right = {name: 0 for name in systems.split(",")}
    for sample in samples:
        right[sample["system"]] += sample["right"]
        assert sample["calls"] >= 1
        assert sample["dollars"] > 0
    # Far below what the parameters promise, and far above chance.
    assert min(right.values()) >= 8, right
