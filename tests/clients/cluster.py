"""Starts `baton up` as a process of its own, and stops it."""

import os
import subprocess
import threading
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

# Time to start and to stop, on a machine that does something else as well.
START_SECONDS = 60
STOP_SECONDS = 60

# What must not decide which agents a cluster has.
FOREIGN = (
    "BATON_CONFIG",
    "BATON_ENDPOINT",
    "BATON_MODELS",
    "OPENAI_API_KEY",
    "OPENAI_BASE_URL",
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_BASE_URL",
)


def binary() -> str:
    """The command under test: $BATON_BIN, else the debug build."""
    root = Path(__file__).resolve().parents[2]
    target = root / os.environ.get("CARGO_TARGET_DIR", "target")
    return os.environ.get("BATON_BIN", str(target / "debug" / "baton"))


@contextmanager
def baton_up(*arguments: str, env: dict[str, str] | None = None):
    """A cluster on a free port with its data in a folder of its own; gives its base URL."""
    with TemporaryDirectory(prefix="baton-") as folder:
        command = [binary(), "up", "--listen", "127.0.0.1:0", "--data", folder, *arguments]
        with serving(command, env=env) as url:
            yield url


@contextmanager
def serving(command: list[str], says: str = "listens on ", env: dict[str, str] | None = None):
    """Runs a program that `says` on stderr where it listens; gives the base URL after that."""
    with started(command, says, env) as (_, url):
        yield url


@contextmanager
def started(command: list[str], says: str = "listens on ", env: dict[str, str] | None = None):
    """The same, with the process, for tests that kill it."""
    clean = {name: value for name, value in os.environ.items() if name not in FOREIGN}
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        # Colours would stand between the greeting and the address.
        env=clean | {"NO_COLOR": "1"} | (env or {}),
    )
    said = _Said(process.stderr, says)
    try:
        yield process, said.address()
    finally:
        _stop(process)
        said.close()


def _stop(process: subprocess.Popen) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise


class _Said:
    """What a program says, read all the time so that it never waits for its reader."""

    def __init__(self, stream, before_url: str):
        self.stream = stream
        self.before_url = before_url
        self.lines: list[str] = []
        self.found: str | None = None
        self.known = threading.Event()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        for line in self.stream:
            self.lines.append(line)
            _, said, rest = line.partition(self.before_url)
            if said and self.found is None:
                self.found = rest.split()[0].rstrip(",:")
                self.known.set()
        # It ended, perhaps without a greeting.
        self.known.set()

    def address(self) -> str:
        self.known.wait(START_SECONDS)
        if self.found is None:
            raise RuntimeError("it did not say where it listens: " + "".join(self.lines))
        return self.found

    def close(self) -> None:
        """Once the program has ended."""
        self.reader.join()
        self.stream.close()
