"""The official OpenAI client through `baton up`, whose agents are asked in Chat Completions
or in Messages: what is asked for beside text arrives, and what is answered comes back.
"""

import json
from contextlib import contextmanager

import openai
import pytest

from cluster import baton_up, binary, serving

QUESTION = "What is the value of (3 + 4) * 5?"
ASKED = [{"role": "user", "content": QUESTION}]
CITY = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer", "maximum": 7}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
WEATHER = {"type": "function", "function": {"name": "weather", "parameters": CITY}}
CLOCK = {"type": "function", "function": {"name": "clock"}}
WEATHER_ASKED = 'How is the weather in "Rome" over 3 days?'
VALUE = {
    "type": "object",
    "properties": {"value": {"type": "number"}},
    "required": ["value"],
    "additionalProperties": False,
}
FORM = {"type": "json_schema", "json_schema": {"name": "value", "schema": VALUE, "strict": True}}
DOLLARS = {"input": 3.0, "cached_input": 0.3, "output": 15.0}
# An agent, one step, a plan by the policy, and several steps of which one answers.
MODELS = ["sage", "baton/direct", "baton", "baton/plan_execute_verify"]

CONFIG = """
[providers.sim]
kind = "{kind}"
base_url = "{url}"
stream = {stream}

[policy]
provider = "sim"
model = "sim-conductor"
price = {{ input = 0.5, output = 2.0 }}
context_tokens = 65536
output_tokens = 4096

[[agents]]
id = "sage"
provider = "sim"
model = "sim-sage"
price = {{ input = 3.0, cached_input = 0.3, output = 15.0 }}
context_tokens = 65536
output_tokens = 4096
"""


@contextmanager
def cluster(folders, kind: str, stream: bool, faults: str = ""):
    """A pool with these faults, Baton before it, and the client before that."""
    command = [binary(), "sim", "--listen", "127.0.0.1:0", "--time-scale", "0"]
    with serving([*command, "--faults", faults], says="models on ") as pool:
        config = folders.mktemp("config") / "baton.toml"
        config.write_text(CONFIG.format(url=pool, kind=kind, stream=str(stream).lower()))
        with baton_up("--config", str(config)) as url:
            with openai.OpenAI(base_url=url, api_key="none", max_retries=0) as client:
                yield client


@pytest.fixture(scope="module", params=["openai", "anthropic"])
def kind(request):
    return request.param


@pytest.fixture(scope="module", params=[True, False], ids=["streamed", "whole"])
def client(kind, request, tmp_path_factory):
    """The official client of a cluster that asks a simulated pool in one of the protocols."""
    with cluster(tmp_path_factory, kind, request.param) as client:
        yield client


def whole(client, **asked):
    return client.chat.completions.create(**asked)


def streamed(client, **asked):
    """The same, put together from its stream by the client."""
    with client.chat.completions.stream(
        **asked, stream_options={"include_usage": True}
    ) as stream:
        return stream.get_final_completion()


@pytest.fixture(params=[whole, streamed], ids=["asked-whole", "asked-streamed"])
def ask(request, client):
    return lambda **asked: request.param(client, **asked)


@pytest.mark.parametrize("model", MODELS)
def test_an_answer_comes_with_what_it_cost(ask, model):
    answer = ask(model=model, messages=ASKED)
    said = answer.choices[0]
    assert "35" in said.message.content
    assert said.finish_reason == "stop"
    assert answer.usage.prompt_tokens > 0 and answer.usage.completion_tokens > 0
    assert answer.usage.total_tokens == sum(
        (answer.usage.prompt_tokens, answer.usage.completion_tokens)
    )


@pytest.mark.parametrize("model", MODELS)
def test_a_tool_is_called_and_its_result_is_told(ask, model):
    said = [{"role": "user", "content": WEATHER_ASKED}]
    tools = [WEATHER, CLOCK]
    answer = ask(model=model, messages=said, tools=tools).choices[0]
    assert answer.finish_reason == "tool_calls"
    (call,) = answer.message.tool_calls
    assert call.function.name == "weather"
    assert json.loads(call.function.arguments) == {"city": "Rome", "days": 3}
    said += [
        answer.message.model_dump(exclude_none=True, include={"role", "tool_calls"}),
        {"role": "tool", "tool_call_id": call.id, "content": "18 degrees"},
    ]
    told = ask(model=model, messages=said, tools=tools).choices[0]
    assert told.finish_reason == "stop"
    assert "18 degrees" in told.message.content


@pytest.mark.parametrize(
    ("choice", "called"),
    [
        ("none", []),
        ("required", ["weather"]),
        ({"type": "function", "function": {"name": "clock"}}, ["clock"]),
    ],
)
@pytest.mark.parametrize("model", ["sage", "baton/direct"])
def test_a_choice_of_tools_arrives(client, model, choice, called):
    answer = whole(
        client, model=model, messages=ASKED, tools=[WEATHER, CLOCK], tool_choice=choice
    )
    calls = answer.choices[0].message.tool_calls or []
    assert [call.function.name for call in calls] == called


@pytest.mark.parametrize("model", ["sage", "baton/direct"])
@pytest.mark.parametrize("parallel", [True, False])
def test_several_tools_are_called_at_once_unless_that_is_not_wanted(ask, model, parallel):
    said = [{"role": "user", "content": WEATHER_ASKED + " And what says the clock?"}]
    asked = {"messages": said, "tools": [WEATHER, CLOCK], "parallel_tool_calls": parallel}
    calls = ask(model=model, **asked).choices[0].message.tool_calls
    assert [call.function.name for call in calls] == ["weather", "clock"][: 1 + parallel]
    assert len({call.id for call in calls}) == len(calls)


@pytest.mark.parametrize("model", MODELS)
def test_an_answer_has_the_form_that_was_asked_for(ask, model):
    answer = ask(model=model, messages=ASKED, response_format=FORM)
    said = answer.choices[0]
    assert json.loads(said.message.content) == {"value": 35.0}
    assert said.finish_reason == "stop"


def test_a_system_prompt_is_paid_for(client):
    def read(*before):
        messages = [*before, *ASKED]
        return whole(client, model="sage", messages=messages).usage.prompt_tokens

    words = "Be brief, be kind, be right, in this order."
    assert read({"role": "system", "content": words}) > read() + 5


def test_tokens_from_the_cache_cost_less(client):
    long = [{"role": "user", "content": "A word to remember. " * 100 + QUESTION}]

    def usage():
        return whole(client, model="sage", messages=long).usage

    def dollars(usage):
        cached = usage.prompt_tokens_details.cached_tokens
        fresh = usage.prompt_tokens - cached
        parts = (("input", fresh), ("cached_input", cached), ("output", usage.completion_tokens))
        return sum(DOLLARS[name] * tokens for name, tokens in parts) / 1e6

    first, again = usage(), usage()
    assert first.prompt_tokens_details.cached_tokens == 0
    assert again.prompt_tokens_details.cached_tokens >= 256
    assert again.prompt_tokens == first.prompt_tokens
    assert first.cost == pytest.approx(dollars(first))
    assert again.cost == pytest.approx(dollars(again))
    run = whole(client, model="baton/direct", messages=long)
    again = whole(client, model="baton/direct", messages=long)
    assert again.usage.cost < run.usage.cost


@pytest.mark.parametrize(
    ("fault", "error", "name"),
    [
        ("429", openai.RateLimitError, "rate_limited"),
        ("500", openai.InternalServerError, "server_error"),
        ("503", openai.InternalServerError, "server_error"),
        ("cut", openai.InternalServerError, "cut_stream"),
        ("garbage", openai.InternalServerError, "malformed"),
        ("empty", openai.InternalServerError, "empty"),
    ],
)
def test_a_failing_provider_is_told_by_name(kind, fault, error, name, tmp_path_factory):
    with cluster(tmp_path_factory, kind, True, f"{fault}=1") as client:
        with pytest.raises(error) as refused:
            whole(client, model="sage", messages=ASKED)
        assert refused.value.code == f"provider_{name}"
        with pytest.raises(openai.APIStatusError) as refused:
            whole(client, model="baton/direct", messages=ASKED)
        assert (refused.value.status_code, refused.value.code) == (502, "run_failed")
        report = client.get(f"/runs/{refused.value.request_id}", cast_to=object)
        assert report["status"] == "failed"
        (task,) = report["rounds"][0]["steps"][0]["tasks"]
        assert task["failure"].startswith(f"{name}:")


@pytest.mark.parametrize("model", ["sage", "baton/direct"])
def test_a_refusal_is_a_refusal_in_every_protocol(kind, model, tmp_path_factory):
    with cluster(tmp_path_factory, kind, True, "refusal=1") as client:
        for told in (whole, streamed):
            said = told(client, model=model, messages=ASKED).choices[0]
            assert not said.message.content
            assert "not answer" in said.message.refusal
            assert said.finish_reason == "stop"
