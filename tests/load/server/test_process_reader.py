"""A process of known behaviour -> what is read of it, and which processes are refused."""

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import psutil
import pytest
from waiting import until

from astrometer.load.server.process_reader import (
    LogCounter,
    ServerGoneError,
    ServerProcessError,
    find_server,
)
from astrometer.measure.server_usage import ServerEndKind

MB = 1_000_000
# Obeys a line at a time, and answers each: what it does is done when the answer is read.
OBEDIENT = """
import os, subprocess, sys, threading, time
kept = []
for line in sys.stdin:
    word, _, n = line.strip().partition(" ")
    if word == "allocate":
        kept.append(b"x" * int(n))
    elif word == "burn":
        end = time.process_time() + float(n)
        while time.process_time() < end:
            pass
    elif word == "open":
        kept += [open(os.devnull) for _ in range(int(n))]
    elif word == "thread":
        threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
    elif word == "child":
        kept.append(subprocess.Popen([sys.executable, "-c", n]))
    elif word == "reap":
        kept.pop().wait()
    elif word == "log":
        print(n, file=sys.stderr, flush=True)
    print("done", flush=True)
"""

pytestmark = pytest.mark.process


class Obedient:
    def __init__(self, process):
        self.process, self.pid = process, process.pid

    def do(self, line):
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "done\n"


@contextmanager
def obedient(cwd, *, stderr=subprocess.DEVNULL, name="astrbot"):
    process = subprocess.Popen(
        [sys.executable, "-c", OBEDIENT, name],
        cwd=cwd, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, text=True,
    )  # fmt: skip
    try:
        yield Obedient(process)
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


@pytest.fixture
def child(tmp_path):
    with obedient(tmp_path) as one:
        one.do("ready")
        yield one


def find(child):
    return find_server(child.pid, "http://127.0.0.1:6185")


def test_memory_cpu_threads_and_files_of_a_process_are_what_it_takes(child):
    server = find(child)
    before = server.read()
    for line in ("allocate 50000000", "burn 0.5", "open 7", "thread"):
        child.do(line)
    after = server.read()
    assert after.rss_bytes - before.rss_bytes == pytest.approx(50 * MB, rel=0.05)
    assert after.cpu_s - before.cpu_s == pytest.approx(0.5, abs=0.2)
    assert after.open_files - before.open_files == 7
    assert after.threads - before.threads == 1
    assert (before.processes, after.processes) == (1, 1)
    assert (after.database_bytes, after.wal_bytes, after.log_warnings) == (None, None, None)


def test_a_child_counts_while_it_lives(child):
    server = find(child)
    before = server.read()
    child.do("child x = b'x' * 40_000_000; input()")
    family = psutil.Process(child.pid)
    until(lambda: any(one.memory_info().rss > 40 * MB for one in family.children()))
    seen = next(found for _ in range(5) if (found := server.read()).processes == 2)
    assert seen.rss_bytes - before.rss_bytes > 40 * MB
    (grandchild,) = family.children()
    grandchild.kill()
    # Until then it may read what is written to its parent.
    until(lambda: grandchild.status() == psutil.STATUS_ZOMBIE)
    child.do("reap")
    assert server.read().processes == 1


def test_what_a_child_burned_is_not_lost_when_it_has_ended(child):
    server = find(child)
    before = server.read()
    child.do("child import time; any(time.process_time() > 0.5 for _ in iter(int, 1))")
    child.do("reap")
    assert server.read().cpu_s - before.cpu_s == pytest.approx(0.5, abs=0.2)


def test_the_database_is_found_in_the_data_folder_and_followed(child, tmp_path):
    (tmp_path / "data").mkdir()
    database = tmp_path / "data" / "data_v4.db"
    database.write_bytes(b"x" * 1000)
    server = find(child)
    assert (server.read().database_bytes, server.read().wal_bytes) == (1000, None)
    database.write_bytes(b"x" * 3000)
    database.with_name("data_v4.db-wal").write_bytes(b"y" * 40)
    assert (server.read().database_bytes, server.read().wal_bytes) == (3000, 40)


def test_the_log_is_the_file_that_the_output_goes_to(tmp_path):
    with (tmp_path / "out.log").open("w") as log, obedient(tmp_path, stderr=log) as child:
        child.do("log [02:03:52.357] [Core] [ERRO] [v4.29.3] [a:1]: of before")
        server = find(child)
        child.do("log \x1b[32m[02:03:52.357]\x1b[0m [Core] \x1b[33m\x1b[1m[WARN]\x1b[0m [v4.29.3] [a:1]: x")
        child.do("log [2026-11-30 02:03:52.357] [Plug] [ERRO] [v4.18.0] [a:1]: y")
        child.do("log [02:03:52.357] [Core] [INFO] [a:1]: it wrote [Core] [WARN] [ERRO]")
        seen = server.read()
    assert (seen.log_warnings, seen.log_errors) == (1, 1)


def test_a_line_that_is_written_in_two_pieces_counts_once_and_a_new_file_from_its_begin(tmp_path):
    path = tmp_path / "log"
    path.write_text("")
    counter = LogCounter(path)
    with path.open("a") as file:
        file.write("[1] [Core] [WA")
        file.flush()
        counter.read()
        file.write("RN] x\n[1] [Core] [CRIT] y\n")
    counter.read()
    assert (counter.warnings, counter.errors) == (1, 1)
    path.write_text("[1] [Core] [WARN] z\n")
    counter.read()
    assert counter.warnings == 2


def test_a_process_that_was_killed_is_gone_also_before_its_parent_knows(child):
    server = find(child)
    os.kill(child.pid, signal.SIGKILL)
    deadline = time.monotonic() + 20
    with pytest.raises(ServerGoneError) as gone:  # noqa: PT012 (a kill takes its time)
        while time.monotonic() < deadline:
            server.read()
    assert psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE
    assert gone.value.how is ServerEndKind.GONE
    with pytest.raises(ServerProcessError, match="has ended"):
        find(child)
    child.process.wait()
    with pytest.raises(ServerGoneError):
        server.read()


def test_another_process_under_the_same_number_is_a_restart(child):
    server = find(child)
    server._process._ident = (child.pid, 1.0)  # as if it had begun long ago: a number cannot be had on demand
    with pytest.raises(ServerGoneError) as gone:
        server.read()
    assert gone.value.how is ServerEndKind.RESTARTED


def test_a_number_without_a_process_is_told():
    with pytest.raises(ServerProcessError, match=f"there is no process {2**22 + 1}"):
        find_server(2**22 + 1, "http://127.0.0.1:6185")


def test_a_process_that_is_not_an_astrbot_is_refused(tmp_path):
    with obedient(tmp_path, name="bot") as child:
        child.do("ready")
        with pytest.raises(ServerProcessError, match=r"is not an AstrBot.*port 6185"):
            find(child)
        (tmp_path / "data").mkdir()
        (tmp_path / "data" / "data_v4.db").touch()
        assert not find(child).listens


def test_the_parent_of_an_astrbot_is_not_one(tmp_path):
    (tmp_path / "bot" / "data").mkdir(parents=True)
    (tmp_path / "bot" / "data" / "data_v4.db").touch()
    with obedient(tmp_path, name="shell") as parent:
        parent.do("child import os; os.chdir('bot'); input()")
        (bot,) = psutil.Process(parent.pid).children()
        with pytest.raises(ServerProcessError, match="is not an AstrBot"):
            find(parent)
        bot.kill()


def test_whoever_listens_on_the_targets_port_is_the_server(sim):
    assert find_server(os.getpid(), sim.url).listens


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be somebody else")
def test_a_process_of_somebody_else_is_refused_with_what_to_do(child):
    code = (
        "import os, sys\n"
        "from astrometer.load.server.process_reader import *\n"
        "os.setuid(65534)\n"
        "try: find_server(int(sys.argv[1]), 'http://127.0.0.1:6185')\n"
        "except ServerProcessError as exc: print(exc)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(child.pid)], capture_output=True, text=True, check=True
    )
    assert "belongs to somebody else" in done.stdout
