"""The official Anthropic client against what speaks Messages: the simulated pool."""

import json
import subprocess
from urllib.request import urlopen

import anthropic
import httpx2
import pytest

from cluster import binary, serving

QUESTION = "What is the value of (3 + 4) * 5?"
ASKED = [{"role": "user", "content": QUESTION}]
CITY = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer", "maximum": 7}},
    "required": ["city", "days"],
}
WEATHER = {"name": "weather", "description": "tells it", "input_schema": CITY}
FAULT = "x-sim-fault"


@pytest.fixture(scope="module")
def simulated():
    """The address of a simulated pool, slow enough to write an answer in pieces."""
    command = [binary(), "sim", "--listen", "127.0.0.1:0", "--time-scale", "0.1"]
    with serving(command, says="models on ") as url:
        yield url.removesuffix("/v1")


@pytest.fixture
def client(simulated):
    with anthropic.Anthropic(base_url=simulated, api_key="none", max_retries=0) as client:
        yield client


def ask(client, **what):
    asked = {"model": "sim-sage", "messages": ASKED, "max_tokens": 500, **what}
    return client.messages.create(**asked)


def text_of(message) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


def calls_of(message) -> list:
    return [block for block in message.content if block.type == "tool_use"]


def calls_received(simulated) -> list[dict]:
    with urlopen(f"{simulated}/sim/calls") as lines:
        return [json.loads(line) for line in lines]


def test_a_message_is_answered(client, simulated):
    message = ask(client)
    assert (message.type, message.role, message.model) == ("message", "assistant", "sim-sage")
    assert message.stop_reason == "end_turn"
    assert "Answer: 35" in text_of(message)
    assert message.usage.input_tokens > 0 and message.usage.output_tokens > 0
    assert calls_received(simulated)[-1]["surface"] == "anthropic"


def test_the_same_message_streams(client):
    whole = ask(client)
    asked = {"model": "sim-sage", "messages": ASKED, "max_tokens": 500}
    with client.messages.stream(**asked) as stream:
        pieces = list(stream.text_stream)
        message = stream.get_final_message()
    assert len(pieces) > 1
    assert "".join(pieces) == text_of(message) == text_of(whole)
    assert message.stop_reason == "end_turn"
    assert message.usage.output_tokens == whole.usage.output_tokens
    kinds = [event.type for event in client.messages.create(**asked, stream=True)]
    assert (kinds[0], kinds[-2], kinds[-1]) == ("message_start", "message_delta", "message_stop")
    assert kinds.count("content_block_start") == kinds.count("content_block_stop") == 1


def test_a_system_prompt_is_read(client):
    # Whoever does not read it does not know what to solve.
    task = subprocess.run(
        [binary(), "tasks", "--count", "1", "--family", "arithmetic"],
        check=True,
        capture_output=True,
        text=True,
    )
    prompt = json.loads(task.stdout)["prompt"]
    said = [{"role": "user", "content": "Please do it."}]
    assert "Answer: unknown" in text_of(ask(client, messages=said))
    as_blocks = [{"type": "text", "text": prompt, "cache_control": {"type": "ephemeral"}}]
    for system in (prompt, as_blocks):
        assert "unknown" not in text_of(ask(client, messages=said, system=system))


@pytest.mark.parametrize("streamed", [False, True])
def test_a_tool_is_used(client, streamed):
    said = [{"role": "user", "content": 'How is the weather in "Rome" over 3 days?'}]
    asked = {"model": "sim-sage", "max_tokens": 500, "tools": [WEATHER]}
    if streamed:
        with client.messages.stream(**asked, messages=said) as stream:
            message = stream.get_final_message()
    else:
        message = client.messages.create(**asked, messages=said)
    assert message.stop_reason == "tool_use"
    (call,) = calls_of(message)
    assert (call.name, call.input) == ("weather", {"city": "Rome", "days": 3})
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "18 degrees"}
    said += [
        {"role": "assistant", "content": message.content},
        {"role": "user", "content": [result]},
    ]
    told = client.messages.create(**asked, messages=said)
    assert told.stop_reason == "end_turn"
    assert "18 degrees" in text_of(told)


@pytest.mark.parametrize(
    ("choice", "calls"),
    [
        ({"type": "none"}, 0),
        ({"type": "any"}, 1),
        ({"type": "tool", "name": "clock"}, 1),
        ({"type": "auto"}, 0),
        ({"type": "any", "disable_parallel_tool_use": True}, 1),
    ],
)
def test_a_choice_of_tools_is_kept(client, choice, calls):
    clock = {"name": "clock", "input_schema": {"type": "object", "properties": {}}}
    message = ask(client, tools=[WEATHER, clock], tool_choice=choice)
    found = calls_of(message)
    assert len(found) == calls
    if choice.get("name"):
        assert found[0].name == choice["name"]


def test_a_form_is_kept(client):
    schema = {
        "type": "object",
        "properties": {"value": {"type": "number"}},
        "required": ["value"],
        "additionalProperties": False,
    }
    form = {"format": {"type": "json_schema", "schema": schema}}
    message = ask(client, extra_body={"output_config": form})
    assert json.loads(text_of(message)) == {"value": 35.0}


def test_tokens_from_the_cache_are_told_apart(client):
    long = [{"role": "user", "content": "A word to remember. " * 100 + QUESTION}]
    first, again = ask(client, messages=long).usage, ask(client, messages=long).usage
    assert not first.cache_read_input_tokens
    assert again.cache_read_input_tokens >= 256
    assert again.cache_read_input_tokens + again.input_tokens == first.input_tokens
    asked = {"model": "sim-sage", "messages": long, "max_tokens": 500}
    with client.messages.stream(**asked) as stream:
        streamed = stream.get_final_message().usage
    assert streamed.cache_read_input_tokens == again.cache_read_input_tokens


def test_an_answer_that_is_cut_off_says_so(client):
    message = ask(client, max_tokens=5)
    assert message.stop_reason == "max_tokens"
    assert message.usage.output_tokens == 5


@pytest.mark.parametrize("streamed", [False, True])
def test_a_refusal_has_its_own_reason(client, streamed):
    header = {FAULT: "refusal"}
    if streamed:
        asked = {"model": "sim-sage", "messages": ASKED, "max_tokens": 500}
        with client.messages.stream(**asked, extra_headers=header) as stream:
            message = stream.get_final_message()
    else:
        message = ask(client, extra_headers=header)
    assert message.stop_reason == "refusal"
    assert text_of(message) == ""
    assert "not answer" in message.stop_details.explanation


@pytest.mark.parametrize(
    ("what", "error", "kind"),
    [
        ({"model": "claude-0"}, anthropic.NotFoundError, "not_found_error"),
        ({"messages": []}, anthropic.BadRequestError, "invalid_request_error"),
        (
            {"messages": [{"role": "assistant", "content": "Hm."}]},
            anthropic.BadRequestError,
            "invalid_request_error",
        ),
        (
            {"messages": [{"role": "user", "content": "word " * 200_000}]},
            anthropic.BadRequestError,
            "invalid_request_error",
        ),
        ({"extra_headers": {FAULT: "429"}}, anthropic.RateLimitError, "rate_limit_error"),
        ({"extra_headers": {FAULT: "500"}}, anthropic.InternalServerError, "api_error"),
        ({"extra_headers": {FAULT: "503"}}, anthropic.APIStatusError, "overloaded_error"),
    ],
)
def test_errors_are_the_clients_own(client, what, error, kind):
    with pytest.raises(error) as refused:
        ask(client, **what)
    assert refused.value.body["type"] == "error"
    assert refused.value.body["error"]["type"] == kind
    assert refused.value.body["error"]["message"]


def test_a_patient_client_gets_over_a_fault(simulated):
    # A call that is made again is another one: what is drawn for it may be nothing.
    command = [binary(), "sim", "--listen", "127.0.0.1:0", "--time-scale", "0"]
    with serving([*command, "--faults", "429=0.5"], says="models on ") as url:
        base_url = url.removesuffix("/v1")
        with anthropic.Anthropic(base_url=base_url, api_key="none", max_retries=9) as patient:
            for _ in range(4):
                assert "Answer: 35" in text_of(ask(patient))
        outcomes = [call["outcome"] for call in calls_received(base_url)]
    assert outcomes.count("done") == 4 and "refused" in outcomes


@pytest.mark.parametrize("streamed", [False, True])
def test_a_broken_connection_is_noticed(client, streamed):
    asked = {"model": "sim-sage", "messages": ASKED, "max_tokens": 500}
    asked["extra_headers"] = {FAULT: "cut"}
    with pytest.raises((anthropic.APIConnectionError, httpx2.RemoteProtocolError)):
        if streamed:
            with client.messages.stream(**asked) as stream:
                stream.get_final_message()
        else:
            client.messages.create(**asked)
