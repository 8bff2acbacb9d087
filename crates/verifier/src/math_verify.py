# Asks math-verify whether two answers are the same. Arguments: the folder it is in, and the
# control descriptor. Everything is loaded before the question comes, over standard input: a
# list of the expected answer and the one that was found, or null to be asked for the version.
import json
import logging
import os
import sys

library, control = sys.argv[1:]
sys.path.append(library)
logging.disable(logging.CRITICAL)

from importlib.metadata import version

from math_verify import LatexExtractionConfig, parse, verify

# LaTeX alone: the other form of extraction evaluates Python.
FORM = [LatexExtractionConfig()]


def read(text):
    return parse(
        "$" + text.replace("$", "") + "$",
        extraction_config=FORM,
        fallback_mode="no_fallback",
        extraction_mode="first_match",
        parsing_timeout=None,
    )


def same(expected, found):
    expected, found = read(expected), read(found)
    if not expected or not found:
        return None
    return verify(expected, found, timeout_seconds=None, raise_on_error=True)


same("1", "1")
question = json.load(sys.stdin)
answer = {"version": version("math-verify"), "same": same(*question) if question else None}
os.write(int(control), json.dumps(answer).encode())
