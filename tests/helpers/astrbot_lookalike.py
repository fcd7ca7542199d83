"""A process that looks like an AstrBot and listens nowhere."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def looks_like_astrbot() -> Iterator[subprocess.Popen]:
    command = [sys.executable, "-c", "print('ready', flush=True); input()", "astrbot"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout.readline()
            yield process
        finally:
            process.kill()
