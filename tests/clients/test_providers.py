"""What agents are asked for beside text, in both protocols, of llama.cpp's own server.

It speaks Chat Completions and Messages. Its model writes noise, but what it was sent is
counted in tokens, and a schema that is enforced shows in the answer.
"""

import json
import sys
from pathlib import Path

import openai
import pytest

import tiny_gguf
from cluster import baton_up, serving

SERVER = Path(__file__).with_name("llama_server.py")
ASKED = [{"role": "user", "content": "What is the weather in Rome?"}]
# Told to the model by a template of its own, as such models are.
WITH_TOOLS = "{% for tool in tools or [] %}{{ tool | tojson }}\n{% endfor %}"
CITY = {
    "type": "object",
    "properties": {"city": {"enum": ["rome", "oslo"]}},
    "required": ["city"],
    "additionalProperties": False,
}
WEATHER = {"type": "function", "function": {"name": "weather", "parameters": CITY}}
FORM = {"type": "json_schema", "json_schema": {"name": "city", "schema": CITY, "strict": True}}

CONFIG = """
[providers.llama]
kind = "{kind}"
base_url = "{url}"
stream = {stream}

[[agents]]
id = "tiny"
provider = "llama"
model = "tiny-random"
price = {{ input = 1.0, output = 2.0, cached_input = 0.5 }}
context_tokens = 4096
output_tokens = 200
"""


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    """llama.cpp's server, with a model that may end its answers; its base URL."""
    model = tmp_path_factory.mktemp("model") / "tiny.gguf"
    tiny_gguf.write(model, WITH_TOOLS + tiny_gguf.CHAT_TEMPLATE)
    with serving([sys.executable, str(SERVER), str(model), "--may-end"]) as url:
        yield url


@pytest.fixture(scope="module", params=["openai", "anthropic"])
def kind(request):
    return request.param


@pytest.fixture(scope="module", params=[True, False], ids=["streamed", "whole"])
def client(llama, kind, request, tmp_path_factory):
    """The official client of a cluster whose agent is asked in one of the protocols."""
    config = tmp_path_factory.mktemp("config") / "baton.toml"
    config.write_text(CONFIG.format(url=llama, kind=kind, stream=str(request.param).lower()))
    with baton_up("--config", str(config)) as url:
        with openai.OpenAI(base_url=url, api_key="none", max_retries=0) as client:
            yield client


def ask(client, **what):
    return client.chat.completions.create(
        **{"model": "tiny", "messages": ASKED, "max_tokens": 8, **what}
    )


@pytest.mark.parametrize("model", ["tiny", "baton/direct"])
def test_an_answer_comes_with_its_tokens(client, model):
    answer = ask(client, model=model)
    assert answer.choices[0].message.content
    assert answer.choices[0].finish_reason in ("stop", "length")
    assert 1 <= answer.usage.completion_tokens <= 8 or answer.baton["estimated"]


@pytest.mark.parametrize("model", ["tiny", "baton/direct"])
def test_tools_reach_the_model(client, model):
    plain, offered = ask(client, model=model), ask(client, model=model, tools=[WEATHER])
    if plain.baton["estimated"] or offered.baton["estimated"]:
        pytest.skip("this server does not always say what it read")
    schema = len(json.dumps(CITY))
    assert offered.usage.prompt_tokens > plain.usage.prompt_tokens + schema / 2


def test_results_of_tools_are_taken(client):
    call = {"id": "call_1", "type": "function"}
    call["function"] = {"name": "weather", "arguments": '{"city": "rome"}'}
    told = [
        *ASKED,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "18 degrees"},
    ]
    for tools in ({"tools": [WEATHER]}, {}):
        assert ask(client, messages=told, **tools).choices[0].message.content


@pytest.mark.parametrize("model", ["tiny", "baton/direct"])
def test_a_form_is_kept_or_told_to_be_missing(client, kind, model):
    answer = ask(client, model=model, max_tokens=200, response_format=FORM)
    said, report = answer.choices[0], answer.baton
    if said.finish_reason == "length":
        return
    # llama.cpp enforces a schema in Chat Completions, and knows no such field in Messages.
    if kind == "openai":
        assert json.loads(said.message.content)["city"] in ("rome", "oslo")
        assert "form_fault" not in report and report.get("shortfall") is None
    elif model == "tiny":
        assert "not JSON" in report["form_fault"]
    else:
        assert (report["status"], report["shortfall"]) == ("incomplete", "malformed")
        assert report["rounds"][0]["steps"][0]["tasks"][0]["status"] == "malformed"
