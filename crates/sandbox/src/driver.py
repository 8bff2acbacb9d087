"""Runs a candidate inside the sandbox. What is expected of it is not here.

Arguments: the form (`stdin` or the name of a function), whether to import what LiveCodeBench's
runner imports, and the control descriptor.
"""

import builtins
import sys

# `-S` leaves these out, and programs use them.
builtins.exit = builtins.quit = sys.exit
# As LiveCodeBench's runner.
sys.setrecursionlimit(50_000)
if hasattr(sys, "set_int_max_str_digits"):
    sys.set_int_max_str_digits(50_000)

IMPORTS = (
    "string re datetime collections heapq bisect copy math random statistics itertools functools"
    " operator io sys json builtins typing"
).split()


def candidate(imports):
    """The candidate's module, run as a program is."""
    module = type(sys)("__main__")
    module.__file__ = "candidate.py"
    sys.modules["__main__"] = module
    if imports:
        lines = [f"from {name} import *" for name in IMPORTS]
        lines += [f"import {name}" for name in IMPORTS]
        exec("\n".join(lines), module.__dict__)
    with open("candidate.py", encoding="utf-8") as file:
        source = file.read()
    exec(compile(source, "candidate.py", "exec"), module.__dict__)
    return module.__dict__


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


def call(name, control, imports):
    import json
    import os

    dumps, loads, write = json.dumps, json.loads, os.write
    with open("arguments", encoding="utf-8") as file:
        arguments = [loads(line) for line in file.read().split("\n") if line.strip()]
    names = candidate(imports)
    function = getattr(names["Solution"](), name) if "Solution" in names else names[name]
    value = function(*arguments)
    try:
        frame = dumps({"value": plain(value)}, allow_nan=False)
    except NotPlain as error:
        frame = dumps({"unspeakable": str(error)})
    frame = frame.encode()
    while frame:
        frame = frame[write(control, frame) :]


def main():
    form, imports, control = sys.argv[1], sys.argv[2] == "imports", int(sys.argv[3])
    sys.argv = ["candidate.py"]
    if form == "stdin":
        import os

        os.close(control)
        candidate(imports)
    else:
        call(form, control, imports)


main()
