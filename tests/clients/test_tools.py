"""An agent loop of the official OpenAI client through Baton: its run awaits the results, and
the agent that called goes on with them. The simulated pool's record says who was asked.
"""

import json
import signal
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass

import openai
import pytest

from cluster import baton_up, binary, serving, started
from runs import ended, get, run_ids

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = {"type": "function", "function": {"name": "weather", "parameters": CITY}}
CLOCK = {"type": "function", "function": {"name": "clock"}}
TOOLS = [WEATHER, CLOCK]
ONE = 'How is the weather in "Rome"?'
BOTH = 'How is the weather in "Rome", and what says the clock?'
TWO = 'First say how the weather in "Rome" is, then ask the clock.'
SAYS = {"weather": "18 degrees", "clock": "half past nine"}

AGENT = """
[[agents]]
id = "{model}"
provider = "sim"
model = "sim-{model}"
price = {{ input = {price}, output = {price} }}
context_tokens = 65536
output_tokens = 4096
"""
CONFIG = """
[providers.sim]
kind = "{kind}"
base_url = "{url}"
"""
DIRECT = '[policy]\nstrategy = "direct"\n'


@dataclass
class Pool:
    """A simulated pool, Baton before it, and the client before that."""

    pool: str
    client: openai.OpenAI

    def asked(self) -> list[str]:
        """The models that were asked so far, in order."""
        with urllib.request.urlopen(self.pool.removesuffix("/v1") + "/sim/calls") as lines:
            return [json.loads(line)["model"] for line in lines]


@contextmanager
def pool_of(folder, kind: str, more: str = "", policy: str = DIRECT):
    """A configuration of three agents, whose pool notes what it is asked."""
    command = [binary(), "sim", "--listen", "127.0.0.1:0", "--time-scale", "0"]
    with serving(command, says="models on ") as pool:
        config = folder / "baton.toml"
        agents = {"swift": 0.1, "sage": 3.0, "critic": 1.0}
        agents = "".join(AGENT.format(model=name, price=usd) for name, usd in agents.items())
        config.write_text(CONFIG.format(kind=kind, url=pool) + policy + agents + more)
        yield pool, ["--config", str(config)]


@pytest.fixture(scope="module", params=["openai", "anthropic"])
def team(request, tmp_path_factory):
    with pool_of(tmp_path_factory.mktemp("config"), request.param) as (pool, arguments):
        with baton_up(*arguments) as url:
            with openai.OpenAI(base_url=url, api_key="none", max_retries=0) as client:
                yield Pool(pool, client)


@pytest.fixture(scope="module")
def client(team):
    return team.client


def whole(client, **asked):
    return client.chat.completions.create(**asked)


def streamed(client, **asked):
    options = {"include_usage": True}
    with client.chat.completions.stream(**asked, stream_options=options) as stream:
        return stream.get_final_completion()


def said(answer):
    """An agent's message, as the client's users send it back."""
    return answer.choices[0].message.model_dump(
        exclude_none=True, include={"role", "content", "tool_calls"}
    )


def results(answer, says=SAYS):
    calls = answer.choices[0].message.tool_calls
    return [
        {"role": "tool", "tool_call_id": call.id, "content": says[call.function.name]}
        for call in calls
    ]


def first(client, text=ONE, model="baton/direct", **more):
    """A run that awaits its tools, and the conversation until then."""
    messages = [{"role": "user", "content": text}]
    answer = whole(client, model=model, messages=messages, tools=TOOLS, **more)
    assert answer.choices[0].finish_reason == "tool_calls"
    assert answer.baton["status"] == "awaiting_tools"
    return answer, [*messages, said(answer)]


def run_of(answer):
    """The run, which a client that puts a stream together learns from the answer's id."""
    return answer.id.removeprefix("chatcmpl-").split("-turn")[0]


def steps(report):
    return [step for round in report["rounds"] for step in round["steps"]]


# One run, from the question to the answer.


@pytest.mark.parametrize("ask", [whole, streamed])
@pytest.mark.parametrize("model", ["baton/direct", "baton/plan_execute_verify"])
def test_one_run_goes_through_two_rounds_of_tools(team, ask, model):
    client, before = team.client, len(team.asked())
    messages = [{"role": "user", "content": TWO}]
    answers, called = [], []
    while not answers or answers[-1].choices[0].finish_reason == "tool_calls":
        answers.append(ask(client, model=model, messages=messages, tools=TOOLS))
        calls = answers[-1].choices[0].message.tool_calls or []
        called += [call.function.name for call in calls]
        messages = [*messages, said(answers[-1])]
        if calls:
            messages += results(answers[-1])
            assert get(client, f"/runs/{run_of(answers[-1])}")["status"] == "awaiting_tools"
            until_first = len(team.asked()) if len(answers) == 1 else until_first
    assert called == ["weather", "clock"]
    assert SAYS["clock"] in answers[-1].choices[0].message.content
    (run,) = {run_of(answer) for answer in answers}
    assert len({answer.id for answer in answers}) == 3

    report = get(client, f"/runs/{run}")
    assert report["status"] == "completed"
    *others, answering = steps(report)
    assert len(others) == (0 if model == "baton/direct" else 2)
    agent = answering["agent"]
    assert [task["agent"] for task in answering["tasks"]] == [agent] * 3
    assert [turn["results"] for turn in answering["turns"]] == [[SAYS["weather"]], [SAYS["clock"]]]
    # Each answer tells what was consumed since the one before.
    usages = [answer.usage for answer in answers]
    assert sum(usage.prompt_tokens for usage in usages) == report["usage"]["tokens_in"]
    assert sum(usage.completion_tokens for usage in usages) == report["usage"]["tokens_out"]
    assert [usage.calls for usage in usages] == [len(others) + 1, 1, 1]
    # And nobody but the agent that called has seen any result.
    models = team.asked()[before:]
    assert len(models) == len(others) + 3
    assert team.asked()[until_first:] == [f"sim-{agent}"] * 2


def test_a_check_looks_at_what_came_of_the_tools(client):
    expected = {"extra_body": {"baton": {"verify": {"expected": SAYS["weather"]}}}}
    answer, messages = first(client, **expected)
    messages += results(answer)
    told = whole(client, model="baton/direct", messages=messages, tools=TOOLS, **expected)
    assert told.baton["id"] == answer.baton["id"]
    assert told.baton["reason"]["code"] == "accepted"


def test_a_vote_chooses_whose_calls_are_made(team):
    client = team.client
    answer, messages = first(client, model="baton/self_consistency")
    before = len(team.asked())
    messages += results(answer)
    told = whole(client, model="baton/self_consistency", messages=messages, tools=TOOLS)
    assert told.baton["id"] == answer.baton["id"]
    assert told.baton["status"] == "completed"
    assert SAYS["weather"] in told.choices[0].message.content
    assert len(team.asked()) == before + 1, "more than one agent went on"


def test_the_last_request_says_what_may_be_called_next(client):
    answer, messages = first(client, TWO)
    asked = {"model": "baton/direct", "messages": messages + results(answer), "tools": TOOLS}
    told = whole(client, **asked, tool_choice="none")
    assert told.baton["id"] == answer.baton["id"]
    assert told.choices[0].finish_reason == "stop"


def test_the_root_awaits_what_a_child_run_calls(tmp_path):
    # This policy gives the answer to a child run, which asks for a team of its own.
    policy = '[policy]\nprovider = "sim"\nmodel = "sim-recursive"\nfallback = "direct"\n'
    policy += "price = { input = 0.5, output = 2.0 }\ncontext_tokens = 65536\noutput_tokens = 4096\n"
    with pool_of(tmp_path, "openai", policy=policy) as (_, arguments):
        with baton_up(*arguments) as url:
            with openai.OpenAI(base_url=url, api_key="none", max_retries=0) as client:
                answer, messages = first(client, model="baton")
                messages += results(answer)
                told = whole(client, model="baton", messages=messages, tools=TOOLS)
                assert told.baton["id"] == answer.baton["id"]
                assert SAYS["weather"] in told.choices[0].message.content
                *_, step = steps(told.baton)
                assert [run["status"] for run in step["runs"]] == ["completed", "completed"]
                assert step["turns"][0]["results"] == [SAYS["weather"]]


# Results.


def test_results_come_in_any_order_and_all_of_them(client):
    answer, messages = first(client, BOTH)
    given = results(answer)
    assert len(given) == 2
    asked = {"model": "baton/direct", "tools": TOOLS}
    for some in (given[:1], [*given, given[0]]):
        with pytest.raises(openai.BadRequestError) as refused:
            whole(client, **asked, messages=messages + some)
        assert refused.value.code == "invalid_messages"
        assert answer.baton["id"] in refused.value.message
    assert "no result of clock" in str(refused.value) or "two results" in str(refused.value)
    told = whole(client, **asked, messages=[*messages, *reversed(given)])
    assert told.baton["id"] == answer.baton["id"]
    (step,) = steps(told.baton)
    assert step["turns"][0]["results"] == [SAYS["weather"], SAYS["clock"]]


def test_the_same_results_are_answered_alike(client):
    answer, messages = first(client)
    asked = {"model": "baton/direct", "tools": TOOLS, "messages": messages + results(answer)}
    one, two = whole(client, **asked), whole(client, **asked)
    assert one.baton == two.baton and one.usage == two.usage and one.choices == two.choices
    assert one.baton["usage"]["calls"] == 2
    # Other results are another conversation.
    other = results(answer, {"weather": "17 degrees"})
    told = whole(client, **asked | {"messages": messages + other})
    assert told.baton["id"] != answer.baton["id"]
    assert "17 degrees" in told.choices[0].message.content


def test_calls_are_told_again_to_who_asks_again(client):
    key = {"extra_headers": {"Idempotency-Key": f"again-{client.base_url.port}"}}
    answer, messages = first(client, **key)
    again, _ = first(client, **key)
    assert said(again) == said(answer)
    asked = {"model": "baton/direct", "tools": TOOLS, "messages": messages + results(answer)}
    told = whole(client, **asked)
    again, _ = first(client, **key)
    assert said(again) == said(answer), "the first request has the first answer"
    assert told.baton["id"] == again.baton["id"]


# What no run awaits is answered by a new one.


def another_run(client, answer, **asked):
    told = whole(client, **{"model": "baton/direct", "tools": TOOLS} | asked)
    assert told.baton["id"] != answer.baton["id"]
    assert SAYS["weather"] in told.choices[0].message.content
    return told


def test_an_edited_conversation_is_another(client):
    answer, messages = first(client)
    given = results(answer)
    edited = [{"role": "user", "content": ONE + " Please."}, *messages[1:]]
    another_run(client, answer, messages=edited + given)
    prompted = [{"role": "system", "content": "Be brief."}, *messages]
    another_run(client, answer, messages=prompted + given)
    asked = json.loads(json.dumps(messages))
    asked[1]["tool_calls"][0]["function"]["arguments"] = '{"city": "Paris"}'
    another_run(client, answer, messages=asked + given)
    another_run(client, answer, messages=messages + given, model="baton/reflect")
    baton = {"extra_body": {"baton": {"budget": {"calls": 9}}}}
    another_run(client, answer, messages=messages + given, **baton)
    # It has been awaiting them all the time.
    told = whole(client, model="baton/direct", tools=TOOLS, messages=messages + given)
    assert told.baton["id"] == answer.baton["id"]


def test_a_forged_or_a_foreign_id_opens_nothing(client):
    answer, messages = first(client)
    genuine = answer.choices[0].message.tool_calls[0].id
    forged = genuine[:-1] + ("0" if genuine[-1] != "0" else "1")
    for other in (forged, genuine[:-1], "call_abc"):
        text = json.dumps(messages + results(answer)).replace(genuine, other)
        another_run(client, answer, messages=json.loads(text))
    assert get(client, f"/runs/{answer.baton['id']}")["status"] == "awaiting_tools"


def test_a_run_that_has_ended_awaits_nothing(client):
    late = {"extra_body": {"baton": {"budget": {"seconds": 1}}}}
    answer, messages = first(client, **late)
    report = ended(client, answer.baton["id"])
    assert (report["status"], report["reason"]["code"]) == ("incomplete", "deadline_passed")
    assert report["usage"]["calls"] == 1
    another_run(client, answer, messages=messages + results(answer), **late)

    answer, messages = first(client)
    client.post(f"/runs/{answer.baton['id']}/cancel", cast_to=object)
    report = ended(client, answer.baton["id"])
    assert report["status"] == "cancelled"
    another_run(client, answer, messages=messages + results(answer))


def test_a_tenant_has_its_own_calls(tmp_path):
    keys = {"BATON_TEST_KEY_ANN": "key-of-ann", "BATON_TEST_KEY_BOB": "key-of-bob"}
    more = "".join(
        f'[[keys]]\nenv = "{name}"\ntenant = "{key.removeprefix("key-of-")}"\n'
        for name, key in keys.items()
    )
    with pool_of(tmp_path, "openai", more=more) as (_, arguments):
        with baton_up(*arguments, env=keys) as url:
            ann = openai.OpenAI(base_url=url, api_key="key-of-ann", max_retries=0)
            bob = openai.OpenAI(base_url=url, api_key="key-of-bob", max_retries=0)
            answer, messages = first(ann)
            messages += results(answer)
            another_run(bob, answer, messages=messages)
            assert len(run_ids(bob)) == 1
            told = whole(ann, model="baton/direct", tools=TOOLS, messages=messages)
            assert told.baton["id"] == answer.baton["id"]


def test_a_killed_process_goes_on_where_it_was(tmp_path):
    with pool_of(tmp_path, "openai") as (_, arguments):
        command = [binary(), "up", "--listen", "127.0.0.1:0", "--data", str(tmp_path / "data")]
        with started([*command, *arguments]) as (process, url):
            with openai.OpenAI(base_url=url, api_key="none", max_retries=0) as client:
                answer, messages = first(client, TWO)
            process.send_signal(signal.SIGKILL)
            process.wait()
        with started([*command, *arguments]) as (_, url):
            with openai.OpenAI(base_url=url, api_key="none", max_retries=0) as client:
                asked = {"model": "baton/direct", "tools": TOOLS}
                second = whole(client, **asked, messages=messages + results(answer))
                assert second.choices[0].finish_reason == "tool_calls"
                messages += [*results(answer), said(second), *results(second)]
                told = whole(client, **asked, messages=messages)
                assert answer.baton["id"] == second.baton["id"] == told.baton["id"]
                assert told.baton["usage"]["calls"] == 3
                assert SAYS["clock"] in told.choices[0].message.content
