"""Follows the driver, and calls a function of the candidate's."""

import json


class NotPlain(Exception):
    pass


def plain(value):
    """What a value is made of, as far as JSON can say it. An object's own idea of equality, or of
    what it contains, is not asked."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int.__index__(value)
    if isinstance(value, float):
        number = float.__float__(value)
        if number - number != 0:
            raise NotPlain(f"the number {number!r}")
        return number
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, list):
        return [plain(item) for item in list.__iter__(value)]
    if isinstance(value, tuple):
        return [plain(item) for item in tuple.__iter__(value)]
    if isinstance(value, dict):
        pairs = dict.items(value)
        if all(isinstance(key, str) for key, _ in pairs):
            return {str.__str__(key): plain(item) for key, item in pairs}
        raise NotPlain("a dict with keys that are no strings")
    raise NotPlain(f"a value of type {type(value).__name__}")


def call(name):
    # Whatever the candidate makes of these modules.
    dumps, loads, write = json.dumps, json.loads, posix.write
    with open("arguments", encoding="utf-8") as file:
        arguments = [loads(line) for line in file.read().split("\n") if line.strip()]
    names = candidate()
    function = getattr(names["Solution"](), name) if "Solution" in names else names[name]
    value = function(*arguments)
    try:
        frame = dumps({"value": plain(value)}, allow_nan=False)
    except NotPlain as error:
        frame = dumps({"unspeakable": str(error)})
    frame = frame.encode()
    while frame:
        frame = frame[write(CONTROL, frame) :]


call(WORDS[1])
