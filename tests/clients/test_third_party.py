"""A server that others wrote as an agent: llama.cpp's, on a tiny model of random weights.

The wheels of `xllamacpp` carry llama.cpp's own HTTP server ready for use. The better known
`llama-cpp-python` is published as source alone, and its server is another one, written in
Python: a fresh machine would need cmake, a C++ compiler and many minutes for it.

What the model writes is noise. That it was asked, that its tokens came through one by one,
that they were counted as its own server counts them, and that the run ended: that is tested.
"""

import sys
import urllib.request
from pathlib import Path

import openai
import pytest

import tiny_gguf
from cluster import baton_up, serving
from runs import ended

SERVER = Path(__file__).with_name("llama_server.py")
ASKED = [
    {"role": "system", "content": "You are terse."},
    {"role": "user", "content": "Say something in bytes: ü."},
]
# The model never ends by itself: each answer has as many tokens as it may have.
# Enough that an answer is still being written when its stream is joined.
TOKENS_OUT = 1024
DOLLARS_IN, DOLLARS_OUT = 1.0, 2.0

CONFIG = """
[providers.llama]
base_url = "{url}"

[[agents]]
id = "tiny"
provider = "llama"
model = "tiny-random"
price = {{ input = {dollars_in}, output = {dollars_out} }}
context_tokens = 4096
output_tokens = {tokens_out}
concurrency = 2
"""


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    """llama.cpp's server; its base URL."""
    model = tmp_path_factory.mktemp("model") / "tiny.gguf"
    tiny_gguf.write(model)
    with serving([sys.executable, str(SERVER), str(model)]) as url:
        yield url


@pytest.fixture(scope="module")
def client(llama, tmp_path_factory):
    """The official client of a cluster whose one agent is served by llama.cpp."""
    config = tmp_path_factory.mktemp("config") / "baton.toml"
    prices = {"dollars_in": DOLLARS_IN, "dollars_out": DOLLARS_OUT}
    config.write_text(CONFIG.format(url=llama, tokens_out=TOKENS_OUT, **prices))
    with baton_up("--config", str(config)) as url:
        with openai.OpenAI(base_url=url, api_key="none", max_retries=0) as client:
            yield client


def counted(llama: str) -> tuple[int, int]:
    """The tokens that llama.cpp has read and written since it began, by its own count."""
    with urllib.request.urlopen(llama.removesuffix("/v1") + "/metrics") as metrics:
        lines = metrics.read().decode().splitlines()
    values = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    read, written = "llamacpp:prompt_tokens_total", "llamacpp:tokens_predicted_total"
    return int(values[read]), int(values[written])


# Steps of each workflow, with the model's name and what its strategy is told.
WORKFLOWS = [
    (1, "baton/direct", {}),
    (2, "baton/mixture_of_agents", {"proposers": ["tiny"], "aggregator": "tiny"}),
]


@pytest.mark.parametrize(("steps", "model", "parameters"), WORKFLOWS)
def test_a_streamed_run_completes(client, llama, steps, model, parameters):
    before = counted(llama)
    *chunks, last = client.chat.completions.create(
        model=model,
        messages=ASKED,
        stream=True,
        stream_options={"include_usage": True},
        extra_body={"baton": {"strategy_parameters": parameters}},
    )
    after = counted(llama)
    texts = [chunk.choices[0].delta.content or "" for chunk in chunks]
    assert sum(text != "" for text in texts) > TOKENS_OUT / 16, "tokens come as they are written"
    assert chunks[-1].choices[0].finish_reason == "length"

    run = ended(client, last.baton["id"])
    assert run["status"] == "completed"
    assert run["answer"] == "".join(texts)
    [round] = run["rounds"]
    assert [step["agent"] for step in round["steps"]] == ["tiny"] * steps
    assert all(step["output"] and step["tokens_out"] == TOKENS_OUT for step in round["steps"])

    usage = last.usage
    assert (usage.prompt_tokens, usage.completion_tokens) == (
        after[0] - before[0],
        after[1] - before[1],
    )
    dollars = usage.prompt_tokens * DOLLARS_IN + usage.completion_tokens * DOLLARS_OUT
    assert usage.cost == pytest.approx(dollars / 1e6)
    assert not run["estimated"]


def test_a_whole_answer_by_the_agent_alone(client, llama):
    before = counted(llama)
    answer = client.chat.completions.create(model="tiny", messages=ASKED, max_tokens=5)
    after = counted(llama)
    assert answer.choices[0].message.content
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage.completion_tokens == after[1] - before[1] == 5


def test_a_conversation_beyond_its_context_is_refused(client):
    long = [{"role": "user", "content": "x" * 20_000}]
    with pytest.raises(openai.APIStatusError) as refused:
        client.chat.completions.create(model="tiny", messages=long)
    assert refused.value.status_code < 500, refused.value.message
