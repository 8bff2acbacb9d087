"""What the checks leave open in mathematics, settled by math-verify in the sandbox."""

import importlib.util
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import openai
import pytest

from cluster import baton_up

LIBRARY = Path(importlib.util.find_spec("math_verify").origin).parents[1]

CONFIG = """
[providers.parrot]
kind = "openai"
base_url = "{url}"
stream = false

[[agents]]
id = "parrot"
provider = "parrot"
model = "parrot"
price = {{ input = 1.0, output = 1.0 }}
context_tokens = 4096
output_tokens = 200

[sandbox]
libraries = [{libraries}]
"""


WANTED = re.compile("Say <(.*?)>")


class Parrot(BaseHTTPRequestHandler):
    """A model that answers with what it is asked for."""

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        wanted = WANTED.search(json.dumps(asked["messages"])).group(1)
        message = {"role": "assistant", "content": f"Answer: {wanted}"}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        body = {"id": "p", "object": "chat.completion", "created": 0, "model": "parrot"}
        text = json.dumps(body | {"choices": [choice], "usage": usage}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def parrot():
    """Its base URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Parrot)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    server.server_close()


def verdict(parrot, tmp_path, libraries: list[str], words: list[tuple[str, str]]):
    """The checks of answers against what is expected of them."""
    config = tmp_path / "baton.toml"
    config.write_text(CONFIG.format(url=parrot, libraries=", ".join(map(json.dumps, libraries))))
    with baton_up("--config", str(config)) as url:
        with openai.OpenAI(base_url=url, api_key="none", max_retries=0) as client:
            for expected, said in words:
                answer = client.chat.completions.create(
                    model="baton/direct",
                    messages=[{"role": "user", "content": f"Say <{said}>, please."}],
                    extra_body={
                        "baton": {"verify": {"type": "math.answer", "expected": expected}}
                    },
                )
                yield answer.baton


def test_what_is_left_open_is_settled_and_it_is_said_by_whom(parrot, tmp_path):
    words = [("\\frac{1}{3}", "0.333333"), ("\\frac{1}{3}", "0.25")]
    rounded, decided = verdict(parrot, tmp_path, [str(LIBRARY)], words)
    check = rounded["rounds"][0]["checks"][0]["verdict"]
    assert (rounded["status"], rounded["reason"]["code"]) == ("completed", "accepted"), rounded
    assert check["verifier"] == "math.answer/1 math-verify/0.9.0"
    assert check["isolation"] in ("ns", "lsm")
    # What the check tells by itself nobody else is asked.
    check = decided["rounds"][0]["checks"][0]["verdict"]
    assert (check["kind"], check["verifier"]) == ("fail", "math.answer/1")


def test_without_it_what_is_left_open_stays_open(parrot, tmp_path):
    (answer,) = verdict(parrot, tmp_path, [], [("\\frac{1}{3}", "0.333333")])
    check = answer["rounds"][0]["checks"][0]["verdict"]
    assert (check["kind"], check["verifier"]) == ("abstain", "math.answer/1")
    assert answer["reason"]["code"] == "unchecked"
