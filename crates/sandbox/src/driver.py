"""Runs a candidate inside the sandbox. What is expected of it is not here.

Arguments: whether to import what LiveCodeBench's runner imports, a function's name where one is
to be called, and the control descriptor. Short, and without `os`: each millisecond is paid for
every case.
"""

import builtins
import posix
import sys

# `-S` leaves these out, and programs use them.
builtins.exit = builtins.quit = sys.exit
# As LiveCodeBench's runner.
sys.setrecursionlimit(50_000)
if hasattr(sys, "set_int_max_str_digits"):
    sys.set_int_max_str_digits(50_000)

WORDS = sys.argv[1:]
CONTROL = int(WORDS[-1])
sys.argv = ["candidate.py"]

IMPORTS = (
    "string re datetime collections heapq bisect copy math random statistics itertools functools"
    " operator io sys json builtins typing"
).split()


def tell(kind, error, trace):
    """A failure, without the frames of this file, which are no news to a candidate's author."""
    while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    sys.__excepthook__(kind, error.with_traceback(trace), trace)


sys.excepthook = tell


def candidate():
    """The candidate's module, run as a program is."""
    module = type(sys)("__main__")
    module.__file__ = "candidate.py"
    sys.modules["__main__"] = module
    if WORDS[0] == "imports":
        lines = [f"from {name} import *" for name in IMPORTS]
        lines += [f"import {name}" for name in IMPORTS]
        exec("\n".join(lines), module.__dict__)
    with open("candidate.py", "rb") as file:
        source = file.read()
    exec(compile(source, "candidate.py", "exec"), module.__dict__)
    return module.__dict__
