"""Shared by all tests: real AstrBot servers, each version started once a session and only when asked for."""

import os
import re
import ssl
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import zip_longest
from pathlib import Path
from typing import Any

import certifi
import pytest
from hypothesis import settings
from xdist.scheduler.loadfile import LoadFileScheduling

from astrometer.targets.sandbox.box import Box, SandboxOptions, sandbox
from astrometer.targets.sandbox.find_python import NoPythonError, find_python
from astrometer.targets.sandbox.index_versions import latest_version

pytest_plugins = [
    "leak_journals",
    "both_transports",
    "locust_runs",
    "probe_bench",
    "results_files",
]  # fixtures that several folders use

REQUIRED = "ASTROMETER_REQUIRE"
STATE = "ASTROMETER_STATE"

# How long an example takes is the machine's affair: a test that measures time says so itself.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def real_astrbot() -> Iterator[Callable[[str], Box]]:
    """`real_astrbot("4.18.0")` or `("latest")`: a running sandbox, shared by the session.

    A test that kills or configures its server brings it back before it ends. Without Python 3.12+ the test is
    skipped, or fails when $ASTROMETER_REQUIRE names astrbot.
    """
    running: dict[str, Box] = {}
    latest: list[str] = []
    with ExitStack() as stack:

        def start(version: str) -> Box:
            skip_without_python()
            if version == "latest":
                if not latest:
                    latest.append(latest_version())
                version = latest[0]
            if version not in running:
                running[version] = stack.enter_context(sandbox(SandboxOptions(version=version)))
            return running[version]

        yield start


@pytest.fixture(scope="session", autouse=True)
def own_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test notes its runs in the state directory of whoever runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(STATE, str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(scope="session", autouse=True)
def certificates_read_once() -> Iterator[None]:
    """A third of a worker's CPU time was httpx, which reads its certificates again for each short call."""
    make, store = ssl.create_default_context, {"cafile": certifi.where()}
    once = make(**store)

    def context(*words: Any, **named: Any) -> ssl.SSLContext:
        return once if not words and named == store else make(*words, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ssl, "create_default_context", context)
        yield


@pytest.fixture
def python_for_astrbot() -> None:
    """For tests that start a sandbox of their own."""
    skip_without_python()


def skip_without_python() -> None:
    try:
        find_python()
    except NoPythonError as exc:
        if "astrbot" in os.environ.get(REQUIRED, "").replace(",", " ").split():
            pytest.fail(f"{REQUIRED} asks for astrbot: {exc}")
        pytest.skip(str(exc))


class ByServer(LoadFileScheduling):
    """Side by side (`pytest -n`), the tests of a file stay together, and those of one real AstrBot."""

    def _split_scope(self, nodeid: str) -> str:
        real = re.search(r"\[real-(\d[0-9.]*|latest)", nodeid)
        return f"astrbot {real[1]}" if real else super()._split_scope(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> ByServer | None:
    if config.option.dist != "loadfile":
        return None
    config.option.loadscopereorder = False  # xdist's order: most tests first, which are the quickest here
    return ByServer(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that take long first, those that start no process last: the workers end together.

    Of the first every other one has a real AstrBot, so that not all workers start one at the same time.
    """
    files: dict[Path, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(item.path, []).append(item)

    def marked(path: Path, name: str) -> list[pytest.Mark]:
        return [mark for item in files[path] if (mark := item.get_closest_marker(name))]

    def cost(path: Path) -> tuple[float, int]:
        longest = max((mark.args[0] for mark in marked(path, "timeout")), default=0)
        return longest, len(marked(path, "process"))

    by_cost = sorted(files, key=cost, reverse=True)
    with_astrbot = [path for path in by_cost if marked(path, "astrbot")]
    others = [path for path in by_cost if path not in with_astrbot]
    in_turn = [path for pair in zip_longest(others, with_astrbot) for path in pair if path is not None]
    items[:] = [item for path in in_turn for item in files[path]]


_running: list[pytest.Item] = []  # the one test that this process runs, if any


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    _running[:] = [item]
    try:
        return (yield)
    finally:
        _running.clear()


def _started(event: str, _arguments: object) -> None:
    """`make check` runs what needs no process: a test that starts one says so."""
    if event != "subprocess.Popen" or not _running:
        return
    if _running[0].get_closest_marker("process") is None:
        raise RuntimeError(f"{_running[0].nodeid} starts a process: mark it @pytest.mark.process")


sys.addaudithook(_started)
