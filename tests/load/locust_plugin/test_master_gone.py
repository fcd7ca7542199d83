"""A worker hears that its master is gone, however many files its process has open."""

import subprocess
import sys

import pytest

MANY_FILES = """
import os, resource
resource.setrlimit(resource.RLIMIT_NOFILE, (1400, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
kept = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
from gevent import monkey
monkey.patch_all()
import gevent
from gevent.event import Event
import zmq.green as zmq
from astrometer.load.locust_plugin.master_gone import Connection

context = zmq.Context()
master, worker = context.socket(zmq.ROUTER), context.socket(zmq.DEALER)
connection, gone = Connection(), Event()
connection.gone = gone.set
port = master.bind_to_random_port("tcp://127.0.0.1")
watching = gevent.spawn(connection.watch, worker)
gevent.sleep(0)
worker.connect(f"tcp://127.0.0.1:{port}")
worker.send(b"hello")
master.recv_multipart()
assert not gone.wait(2.0), "the master is there"
master.close(linger=0)
print(bool(gone.wait(5.0)), watching.exception)
worker.close(linger=0)
"""


@pytest.mark.process
def test_a_worker_with_a_thousand_open_files_hears_that_its_master_is_gone():
    done = subprocess.run(
        [sys.executable, "-c", MANY_FILES], capture_output=True, text=True, timeout=20, check=False
    )
    assert done.stdout.strip() == "True None", done.stderr


NEVER_CONNECTED = """
from gevent import monkey
monkey.patch_all()
import os, socket
import gevent
import zmq.green as zmq
from astrometer.load.locust_plugin.master_gone import connection

nobody = socket.socket()
nobody.bind(("127.0.0.1", 0))
if gevent.fork() == 0:
    worker = zmq.Context().socket(zmq.DEALER)
    watching = gevent.spawn(connection.watch, worker)
    worker.connect(f"tcp://127.0.0.1:{nobody.getsockname()[1]}")
    watching.join()
os._exit(0)
"""


@pytest.mark.process
def test_a_forked_worker_whose_master_ended_before_it_was_connected_ends_too():
    """What it inherited stays open until it has ended: `run` waits for that."""
    done = subprocess.run(
        [sys.executable, "-c", NEVER_CONNECTED], capture_output=True, text=True, timeout=20, check=False
    )
    assert done.returncode == 0
    assert "the master is gone; this worker ends" in done.stderr
