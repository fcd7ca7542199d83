"""`python -m astrometer.targets.model.model_process`: the stub model as a process of its own for the sandbox.

With `--onebot` it is also the instant messenger that AstrBot pushes into, and serves what arrived there.
Prints one JSON line with its URL when it listens.
"""

import argparse
import json
import signal
import threading
from contextlib import ExitStack

from astrometer.targets.messenger.onebot import connected
from astrometer.targets.messenger.sink import Sink
from astrometer.targets.model.model_app import build_app
from astrometer.targets.script import ModelScript
from astrometer.targets.serving import serve


def main() -> None:
    usual = ModelScript()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--ttft", type=float, default=usual.ttft_s, help="seconds to the first token")
    parser.add_argument("--gap", type=float, default=usual.gap_s, help="seconds between tokens")
    parser.add_argument("--tokens", type=int, default=usual.tokens)
    parser.add_argument("--onebot", metavar="URL", help="reverse WebSocket of AstrBot's aiocqhttp adapter")
    options = parser.parse_args()
    defaults = ModelScript(ttft_s=options.ttft, gap_s=options.gap, tokens=options.tokens)
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    with ExitStack() as stack:
        sink = Sink() if options.onebot else None
        if sink is not None:
            stack.enter_context(connected(options.onebot, sink))
        url = stack.enter_context(serve(build_app(defaults, sink=sink), options.port))
        print(json.dumps({"url": url}), flush=True)  # noqa: T201  the line its parent waits for
        stopped.wait()


if __name__ == "__main__":
    main()
