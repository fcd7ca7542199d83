"""The container's health check finds an exporter with TLS, without, and with client certificates."""

import ssl
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from test_web_config import certificate

from astrometer.probing.exporter.healthcheck import is_healthy

pytestmark = pytest.mark.process  # openssl


class Answers(BaseHTTPRequestHandler):
    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status if self.path == "/-/healthy" else 404)
        self.end_headers()

    def log_message(self, *_args: object) -> None:
        """Say nothing."""


class Quiet(HTTPServer):
    def handle_error(self, *_args: object) -> None:
        """A client that gives up on TLS is no news."""


@pytest.fixture
def server():
    running = []

    def start(context: ssl.SSLContext | None = None, status: int = 200) -> int:
        httpd = Quiet(("127.0.0.1", 0), type("Handler", (Answers,), {"status": status}))
        if context is not None:
            httpd.socket = context.wrap_socket(httpd.socket, server_side=True)
        threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        running.append(httpd)
        return httpd.server_address[1]

    yield start
    for httpd in running:
        httpd.shutdown()
        httpd.server_close()


def context_of(folder) -> ssl.SSLContext:
    certificate(folder, "server")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    return context


def test_plain_http(server):
    assert is_healthy(server())
    assert not is_healthy(server(status=503))


def test_tls_whatever_its_certificate_says(server, tmp_path):
    assert is_healthy(server(context_of(tmp_path)))


def test_an_exporter_that_wants_a_client_certificate_answers(server, tmp_path):
    context = context_of(tmp_path)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(tmp_path / "server.pem")
    assert is_healthy(server(context))


def test_nobody_there_is_exit_code_1():
    command = [sys.executable, "-m", "astrometer.probing.exporter.healthcheck", "1"]
    assert subprocess.run(command, check=False).returncode == 1
