"""What the program takes care of when it starts."""

import sys
from pathlib import Path

import pytest

from tests.support.program import Program

if sys.platform == "linux":
    import resource

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads the limits of another process")


def test_it_takes_as_many_sockets_as_the_system_grants(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    low = min(256, soft)
    resource.setrlimit(resource.RLIMIT_NOFILE, (low, hard))  # the program inherits it
    program = Program(tmp_path / "run")
    try:
        program.start()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert program.process is not None
    assert resource.prlimit(program.process.pid, resource.RLIMIT_NOFILE) == (hard, hard)
    program.stop()
