"""Who may talk to the exporter: a web config as of the exporter-toolkit, and TLS on a real socket."""

import asyncio
import base64
import os
import re
import signal
import ssl
import subprocess
import sys
import time
from pathlib import Path

import bcrypt
import httpx
import pytest

from astrometer.config.settings import ConfigError
from astrometer.probing.exporter.access import WebAccess
from astrometer.probing.exporter.web_config import WebConfig, load_web_config


def hashed(password: str) -> str:
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()


def certificate(folder: Path, name: str, days: int = 30) -> None:
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
    ]
    about = ["-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1", "-days", str(days)]
    files = ["-keyout", folder / f"{name}.key", "-out", folder / f"{name}.pem"]
    subprocess.run([*command, *about, *files], check=True, capture_output=True)


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def read(tmp_path: Path, text: str) -> WebConfig:
    path = tmp_path / "web.yml"
    path.write_text(text)
    return load_web_config(path)


def test_users_and_an_empty_file(tmp_path):
    assert read(tmp_path, "").users == {}
    web = read(tmp_path, f"basic_auth_users:\n  ann: {hashed('x')}\n")
    assert list(web.users) == ["ann"]
    assert "$2" not in repr(web)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("basic_auth_users:\n  ann: secret\n", "basic_auth_users.ann: not a bcrypt hash; make one with"),
        ("basic_auth_users: [1\n", "is not valid YAML, line 2"),
        ("basic_auth_user: {}\n", "basic_auth_user: not supported here (there are: tls_server_config, "),
        ("tls_server_config: {cert_file: x}\n", "tls_server_config.key_file is missing"),
        ("tls_server_config: {cert_file: x, key_file: y}\n", "cert_file: {0}/x cannot be read (No such file"),
        ("tls_server_config: {cert_file: a, key_file: a}\n", "tls_server_config: a and a are no PEM pair"),
        ("tls_server_config: {curves: x}\n", "tls_server_config.curves: not supported here"),
        ("[]\n", "top level: "),
    ],
)
def test_a_web_config_that_cannot_be_used_names_place_and_cure(tmp_path, text, message):
    (tmp_path / "a").write_text("no certificate")
    with pytest.raises(ConfigError) as refused:
        read(tmp_path, text)
    assert message.replace("{0}", str(tmp_path)) in str(refused.value)
    assert "secret" not in str(refused.value)


@pytest.mark.process
def test_a_client_ca_needs_a_policy_that_uses_it(tmp_path):
    certificate(tmp_path, "a")
    text = "tls_server_config: {cert_file: a.pem, key_file: a.key, client_ca_file: a.pem"
    with pytest.raises(ConfigError, match="client_ca_file goes with client_auth_type"):
        read(tmp_path, text + "}\n")
    web = read(tmp_path, text + ", client_auth_type: RequireAndVerifyClientCert, min_version: TLS13}\n")
    assert web.tls.verify_mode is ssl.CERT_REQUIRED
    assert web.tls.minimum_version is ssl.TLSVersion.TLSv1_3


@pytest.mark.parametrize(
    ("header", "fine"),
    [
        (basic("ann", "right"), True),
        (basic("ann", "wrong"), False),
        (basic("bob", "right"), False),
        (basic("ann", "rig\0ht"), False),
        (basic("ann", "x" * 5000), False),
        (None, False),
        ("Bearer right", False),
        ("Basic !!!", False),
        ("Basic " + base64.b64encode(b"ann").decode(), False),
        ("Basic " + base64.b64encode(b"\xff:right").decode(), False),
    ],
)
def test_only_a_user_with_the_right_password_is_let_in(header, fine):
    async def go() -> list[bool]:
        guard = WebAccess(WebConfig(users={"ann": hashed("right").encode()}))
        return [await guard.lets_in(header), await guard.lets_in(header)]

    assert asyncio.run(go()) == [fine, fine]


def test_a_password_is_hashed_once_for_all_scrapes():
    slow = bcrypt.hashpw(b"right", bcrypt.gensalt(9)).decode()

    async def go() -> tuple[float, float]:
        guard = WebAccess(WebConfig(users={"ann": slow.encode()}))
        began = time.process_time()
        await guard.lets_in(basic("ann", "right"))
        first_s = time.process_time() - began
        began = time.process_time()
        for _ in range(100):
            assert await guard.lets_in(basic("ann", "right"))
        return first_s, time.process_time() - began

    first_s, hundred_s = asyncio.run(go())
    assert hundred_s < 10 * first_s


def test_a_reload_forgets_old_passwords_and_cannot_switch_tls():
    async def go() -> list[bool]:
        guard = WebAccess(WebConfig(users={"ann": hashed("old").encode()}))
        before = await guard.lets_in(basic("ann", "old"))
        guard.take(WebConfig(users={"ann": hashed("new").encode()}))
        return [before, await guard.lets_in(basic("ann", "old")), await guard.lets_in(basic("ann", "new"))]

    assert asyncio.run(go()) == [True, False, True]
    tls = WebConfig(tls=ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    with pytest.raises(ConfigError, match="restart"):
        WebAccess().check(tls)


@pytest.mark.process
def test_tls_and_users_on_a_real_socket_and_a_sighup_that_exchanges_both(bench, tmp_path):
    for name in ("old", "new"):
        certificate(tmp_path, name)
    web = tmp_path / "web.yml"

    def write(name: str) -> None:
        tls = f"tls_server_config: {{cert_file: {name}.pem, key_file: {name}.key}}\n"
        web.write_text(tls + f"basic_auth_users: {{ann: {hashed(name)}}}\n")

    def ask(name: str, path: str = "/metrics") -> httpx.Response:
        trusted = ssl.create_default_context(cafile=str(tmp_path / f"{name}.pem"))
        return httpx.get(f"{url}{path}", auth=("ann", name), verify=trusted, trust_env=False, timeout=20)

    write("old")
    environment = {**os.environ, "ASTRBOT_URL": bench.url, "ASTRBOT_API_KEY": bench.store.keys["all"].secret}
    command = [sys.executable, "-m", "astrometer", "probe", "--listen", "127.0.0.1:0", "--web-config", web]
    with subprocess.Popen(
        [*command, "--probe", "reads"], env=environment, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            url = re.search(r"https://[\d.:]+", process.stderr.readline())[0]
            assert ask("old").status_code == 200
            insecure = {"verify": False, "trust_env": False, "timeout": 20}
            assert httpx.get(f"{url}/metrics", **insecure).status_code == 401
            assert httpx.get(f"{url}/-/healthy", **insecure).text == "Healthy\n"
            with pytest.raises(httpx.TransportError):
                httpx.get(url.replace("https", "http"), trust_env=False, timeout=20)
            web.write_text("nonsense")
            process.send_signal(signal.SIGHUP)
            assert "reload failed: " in process.stderr.readline()
            assert ask("old").status_code == 200
            write("new")
            process.send_signal(signal.SIGHUP)
            assert process.stderr.readline().startswith(
                "reloaded environment: 1 target, 1 probe run each round"
            )
            assert ask("new").status_code == 200
            with pytest.raises(httpx.ConnectError):
                ask("old")
        finally:
            process.terminate()
            process.wait(30)
        rest = process.stderr.read()
    assert process.returncode == 0
    assert "Traceback" not in rest
