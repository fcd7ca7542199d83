"""`python -m astrometer.targets.sandbox.keeper STATE_FILE`: cleans up when its sandbox's owner is gone.

The owner holds the other end of this process's standard input; however the owner ends, even by kill -9, that
end closes.
"""

import signal
import sys
from pathlib import Path

from astrometer.targets.sandbox.sandbox_state import read_state, reap


def main() -> None:
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.buffer.read()
    state = read_state(Path(sys.argv[1]))
    if state is not None:  # the owner left without cleaning up
        reap(state)


if __name__ == "__main__":
    main()
