"""The official OpenAI client against `baton up`."""

import asyncio

import openai
import pytest

from cluster import baton_up
from runs import ended, get, run_ids

QUESTION = "What is the value of (3 + 4) * 5?"
ASKED = [{"role": "user", "content": QUESTION}]
# The smallest picture there is, as a data URL.
PIXEL = "data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA="
SHOWN = [
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "What is this?"},
            {"type": "image_url", "image_url": {"url": PIXEL}},
        ],
    }
]


# Answers.


def test_a_run_answers_and_tells_its_story(client):
    answer = client.chat.completions.create(model="baton", messages=ASKED)
    assert answer.object == "chat.completion"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.choices[0].message.content
    assert answer.choices[0].message.tool_calls is None
    run = answer.baton
    assert run["id"] == answer._request_id
    assert run["answer"] == answer.choices[0].message.content
    assert run["status"] == "completed"
    steps = [step for round in run["rounds"] for step in round["steps"]]
    assert steps
    assert all(step["agent"] and step["subtask"] and step["calls"] for step in steps)
    assert get(client, f"/runs/{run['id']}") == run


def test_usage_adds_up_and_includes_orchestration(client):
    answer = client.chat.completions.create(model="baton", messages=ASKED)
    usage, run = answer.usage, answer.baton
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    parts = [step for round in run["rounds"] for step in round["steps"]]
    parts.append(run["orchestration"])
    assert usage.prompt_tokens == sum(part["tokens_in"] for part in parts)
    assert usage.completion_tokens == sum(part["tokens_out"] for part in parts)
    assert usage.calls == sum(part["calls"] for part in parts)
    assert usage.cost == pytest.approx(sum(part["usd"] for part in parts))
    assert run["orchestration"]["tokens_in"] > 0, "planning is not free"


def test_the_same_question_streams(client):
    chunks = list(
        client.chat.completions.create(
            model="baton",
            messages=ASKED,
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    *body, usage = chunks
    assert len({chunk.id for chunk in chunks}) == 1
    assert body[0].choices[0].delta.role == "assistant"
    assert all(len(chunk.choices) == 1 and chunk.usage is None for chunk in body)
    reasons = [chunk.choices[0].finish_reason for chunk in body]
    assert reasons == [None] * (len(body) - 1) + ["stop"]
    assert usage.choices == []
    assert usage.usage.total_tokens == usage.usage.prompt_tokens + usage.usage.completion_tokens
    text = "".join(chunk.choices[0].delta.content or "" for chunk in body)
    assert text == usage.baton["answer"]


def test_a_stream_without_usage_has_no_empty_chunk(client):
    asked = {"model": "baton/direct", "messages": ASKED, "stream": True}
    chunks = list(client.chat.completions.create(**asked))
    assert all(chunk.choices for chunk in chunks)
    assert all(chunk.usage is None for chunk in chunks)
    assert chunks[-1].baton["status"] == "completed"


def test_a_stream_ends_as_the_protocol_says(client):
    streaming = client.chat.completions.with_streaming_response
    with streaming.create(model="baton/direct", messages=ASKED, stream=True) as response:
        assert response.headers["content-type"] == "text/event-stream"
        lines = [line for line in response.iter_lines() if line]
    assert lines[-1] == "data: [DONE]"
    assert all(line.startswith(("data: ", ":")) for line in lines)


def test_the_client_puts_a_stream_together(client):
    with client.chat.completions.stream(model="baton", messages=ASKED) as stream:
        whole = stream.get_final_completion()
    assert whole.choices[0].message.content
    assert whole.choices[0].finish_reason == "stop"


def test_progress_comes_as_reasoning_when_asked_for(client):
    def reasoning(**baton) -> str:
        chunks = client.chat.completions.create(
            model="baton", messages=ASKED, stream=True, extra_body={"baton": baton}
        )
        deltas = [chunk.choices[0].delta for chunk in chunks]
        return "".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas)

    assert reasoning(progress=True)
    assert not reasoning()


def test_an_agent_is_called_directly_and_is_no_run(client):
    before = run_ids(client)
    answer = client.chat.completions.create(model="sim-sage", messages=ASKED)
    assert "35" in answer.choices[0].message.content
    assert answer.usage.calls == 1
    assert answer.usage.cost > 0
    assert answer.baton["agent"] == "sim-sage"
    assert answer._request_id.startswith("req_")
    chunks = client.chat.completions.create(
        model="sim-sage",
        messages=ASKED,
        stream=True,
        stream_options={"include_usage": True},
    )
    *body, usage = list(chunks)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in body)
    assert text == answer.choices[0].message.content
    assert usage.usage.total_tokens == answer.usage.total_tokens
    assert run_ids(client) == before


def test_models_are_listed(client):
    models = {model.id: model for model in client.models.list()}
    assert {"baton", "baton-ultra", "baton/direct", "baton/reflect", "sim-sage"} <= set(models)
    assert models["baton"].owned_by == "baton"
    assert models["sim-sage"].owned_by == "sim"
    assert client.models.retrieve("baton/reflect") == models["baton/reflect"]
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-0")


# What a request may say.


def test_options_travel_in_extra_body(client):
    answer = client.chat.completions.create(
        model="baton",
        messages=ASKED,
        extra_body={
            "baton": {
                "strategy": "reflect",
                "strategy_parameters": {"author": "sim-arith", "critic": "sim-critic"},
                "deny": ["sim-sage"],
                "budget": {"usd": 0.05, "calls": 8},
                "deadline": 60,
                "seed": 7,
            }
        },
    )
    assert answer.baton["rounds"][0]["source"] == "strategy:reflect"
    agents = [step["agent"] for step in answer.baton["rounds"][0]["steps"]]
    assert set(agents) == {"sim-arith", "sim-critic"}


def test_only_allowed_agents_work(client):
    answer = client.chat.completions.create(
        model="baton", messages=ASKED, extra_body={"baton": {"allow": ["sim-swift"]}}
    )
    steps = [step for round in answer.baton["rounds"] for step in round["steps"]]
    assert {step["agent"] for step in steps} == {"sim-swift"}


# Errors, as the exceptions that the client has for them.


@pytest.mark.parametrize(
    ("asked", "code", "param"),
    [
        ({"messages": []}, "invalid_value", "messages"),
        ({"temperature": 9}, "invalid_value", "temperature"),
        ({"n": 2}, "unsupported_parameter", "n"),
        ({"extra_body": {"baton": {"budgt": 1}}}, "unknown_parameter", "baton.budgt"),
        ({"extra_body": {"baton": {"budget": {"usd": 0}}}}, "invalid_value", "baton.budget.usd"),
        ({"extra_body": {"baton": {"budget": {"usd": 1e-9}}}}, "budget_too_small", "baton.budget"),
        ({"extra_body": {"baton": {"deny": ["gpt"]}}}, "unknown_agent", "baton.deny"),
        ({"messages": SHOWN}, "images_not_supported", "messages"),
        ({"messages": SHOWN, "stream": True}, "images_not_supported", "messages"),
        ({"messages": SHOWN, "model": "sim-sage"}, "images_not_supported", "messages"),
    ],
)
def test_a_bad_request_is_told_what_is_wrong(client, asked, code, param):
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(**{"model": "baton", "messages": ASKED} | asked)
    error = refused.value
    assert (error.code, error.param) == (code, param)
    assert error.type == "invalid_request_error"
    assert error.request_id.startswith("req_")


def test_a_model_that_does_not_exist_is_not_found(client):
    with pytest.raises(openai.NotFoundError) as refused:
        client.chat.completions.create(model="gpt-0", messages=ASKED)
    assert (refused.value.code, refused.value.param) == ("model_not_found", "model")
    assert "gpt-0" in refused.value.message


def test_a_spent_budget_is_no_reason_to_try_again(quick):
    requests = []
    # The one call is spent on the plan.
    asked = {"model": "baton", "messages": ASKED}
    asked["extra_body"] = {"baton": {"budget": {"calls": 1}}}
    with counted(quick, requests, max_retries=3) as patient:
        with pytest.raises(openai.APIStatusError) as refused:
            patient.chat.completions.create(**asked)
    assert refused.value.status_code == 402
    assert refused.value.code == "budget_exceeded"
    assert refused.value.request_id.startswith("run_")
    assert len(requests) == 1


def test_keys_open_the_doors_of_their_tenants(tmp_path):
    config = tmp_path / "baton.toml"
    keys = {"BATON_TEST_KEY_ANN": "key-of-ann", "BATON_TEST_KEY_BOB": "key-of-bob"}
    config.write_text(
        '[[keys]]\nenv = "BATON_TEST_KEY_ANN"\ntenant = "ann"\n'
        '[[keys]]\nenv = "BATON_TEST_KEY_BOB"\ntenant = "bob"\n'
    )
    with baton_up("--config", str(config), "--sim-time-scale", "0", env=keys) as url:
        with openai.OpenAI(base_url=url, api_key="another", max_retries=0) as stranger:
            with pytest.raises(openai.AuthenticationError) as refused:
                stranger.chat.completions.create(model="baton", messages=ASKED)
            assert refused.value.code == "invalid_api_key"
            assert "another" not in str(refused.value)
        with openai.OpenAI(base_url=url, api_key="key-of-ann") as ann:
            run = ann.chat.completions.create(model="baton", messages=ASKED).baton["id"]
            assert run_ids(ann) == {run}
        with openai.OpenAI(base_url=url, api_key="key-of-bob") as bob:
            assert run_ids(bob) == set()
            with pytest.raises(openai.NotFoundError):
                get(bob, f"/runs/{run}")


# Clients that lose patience, leave, or come in numbers.


def counted(url, requests: list, **options) -> openai.OpenAI:
    """A client that notes each request it sends, its retries included."""
    hooks = {"request": [requests.append]}
    http_client = openai.DefaultHttpxClient(event_hooks=hooks)
    return openai.OpenAI(base_url=url, api_key="none", http_client=http_client, **options)


def test_a_retry_finds_the_run_that_is_under_way(slow):
    requests = []
    # The first token takes 3 s; the first try gives up long before it.
    with counted(slow, requests, timeout=1.5, max_retries=8) as client:
        before = run_ids(client)
        requests.clear()
        asked = {"model": "baton/direct", "messages": ASKED}
        asked["extra_body"] = {"baton": {"strategy_parameters": {"agent": "sim-sage"}}}
        answer = client.chat.completions.create(**asked)
        tries = len(requests)
        assert tries > 1
        assert run_ids(client) - before == {answer.baton["id"]}
        assert answer.baton["usage"]["calls"] == 1


def test_leaving_a_stream_cancels_its_run(slow):
    with openai.OpenAI(base_url=slow, api_key="none", max_retries=0) as client:
        asked = {"model": "baton/direct", "messages": ASKED, "stream": True}
        with client.chat.completions.create(**asked) as stream:
            run = stream.response.headers["x-request-id"]
            next(stream)
        report = ended(client, run)
    assert report["status"] == "cancelled"
    assert report["reason"]["code"] == "cancelled"


def test_twenty_clients_at_once(quick):
    async def ask(client: openai.AsyncOpenAI, number: int):
        question = f"What is the value of ({number} + 4) * 5?"
        messages = [{"role": "user", "content": question}]
        if number % 2:
            return await client.chat.completions.create(model="baton", messages=messages)
        async with client.chat.completions.stream(model="baton", messages=messages) as stream:
            return await stream.get_final_completion()

    async def ask_all():
        async with openai.AsyncOpenAI(base_url=quick, api_key="none", max_retries=0) as client:
            return await asyncio.gather(*(ask(client, number) for number in range(20)))

    answers = asyncio.run(ask_all())
    assert all(answer.choices[0].message.content for answer in answers)
    assert len({answer.id for answer in answers}) == 20
