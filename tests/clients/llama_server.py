"""Serves a GGUF file over HTTP with llama.cpp's own server, until it is told to stop.

With --may-end the model may end its answer; without it, each has as many tokens as allowed.
"""

import signal
import sys

import xllamacpp

# Conversations that are read and written at the same time.
SLOTS = 2
TOKENS_PER_SLOT = 4096


def main(path: str, ends: bool) -> None:
    # Handled by whoever waits for them below, and not by llama.cpp's threads.
    stop = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, stop)
    params = xllamacpp.CommonParams()
    params.model.path = path
    params.model_alias = {"tiny-random"}
    params.port = 0
    params.n_parallel = SLOTS
    params.n_ctx = SLOTS * TOKENS_PER_SLOT
    params.cpuparams.n_threads = 1
    params.sampling.ignore_eos = not ends
    params.endpoint_metrics = True
    # Every token of a prompt is worked through, and counted, each time.
    params.cache_prompt = False
    params.cache_ram_mib = 0
    server = xllamacpp.Server(params)
    # One write, newline and all: llama.cpp's threads log to the same stream at any time.
    sys.stderr.write(f"llama.cpp listens on {server.listening_address}/v1\n")
    sys.stderr.flush()
    signal.sigwait(stop)


if __name__ == "__main__":
    main(sys.argv[1], "--may-end" in sys.argv[2:])
