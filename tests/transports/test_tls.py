"""One trust for load and probes, and a reason that tells expired, wrong name and unknown issuer apart."""

import time
from socket import create_server

import pytest
from click.testing import CliRunner
from tls_files import Authority, tls_front, tls_server

from astrometer.api.outcome import Outcome
from astrometer.cli import main
from astrometer.config.loader import load
from astrometer.config.settings import ConfigError, Target
from astrometer.config.target_access import target_from_options
from astrometer.load.launch import LoadPlan
from astrometer.load.options import Settings, take_ours
from astrometer.measure.results import document
from astrometer.wire.tls import VARIABLES, TlsSettings, to_environment


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(autouse=True)
def no_variable(monkeypatch):
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)


def test_a_private_ca_is_trusted_by_ca_file_and_by_the_variable(asked, authority, monkeypatch):
    with tls_server(*authority.issue("good")) as url:
        unknown = asked.call(url)
        assert unknown.outcome is Outcome.TLS
        assert "issuer is unknown" in unknown.detail
        assert "ca_file" in unknown.detail
        assert asked.call(url, tls=TlsSettings(ca_file=authority.file)).outcome is Outcome.OK
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
        assert asked.call(url).outcome is Outcome.OK


@pytest.mark.parametrize(
    ("issued", "reason"),
    [
        ({"days": -1}, "the certificate has expired"),
        ({"host": "other.example"}, "the certificate is for another host name"),
        ({"host": "10.0.0.1"}, "the certificate is for another host name"),
    ],
)
def test_the_reason_is_told(asked, authority, issued, reason):
    trusting = TlsSettings(ca_file=authority.file)
    with tls_server(*authority.issue("odd", **issued)) as url:
        told = asked.call(url, tls=trusting)
        skipped = asked.call(url, tls=TlsSettings(insecure_skip_verify=True))
    assert told.outcome is Outcome.TLS
    assert told.detail.startswith(reason)
    assert skipped.outcome is Outcome.OK


def test_a_client_certificate_is_shown_and_a_missing_one_is_named(asked, authority):
    cert, key = authority.issue("client")
    server = authority.issue("server")
    with tls_server(*server, client_ca=authority.file) as url:
        known = TlsSettings(ca_file=authority.file, client_cert=cert, client_key=key)
        assert asked.call(url, tls=known).outcome is Outcome.OK
        refused = asked.call(url, tls=TlsSettings(ca_file=authority.file))
    assert refused.outcome in (Outcome.TLS, Outcome.RESET)  # the alert may come after the reset
    if refused.outcome is Outcome.TLS:
        assert "client certificate" in refused.detail


def test_a_ca_file_that_is_exchanged_is_read_again(asked, authority, tmp_path):
    other = Authority(tmp_path, "other CA")
    trusted = tmp_path / "trusted.pem"
    trusted.write_bytes(other.file.read_bytes())
    settings = TlsSettings(ca_file=trusted)
    with tls_server(*authority.issue("rotated")) as url:
        assert asked.call(url, tls=settings).outcome is Outcome.TLS
        time.sleep(0.01)
        trusted.write_bytes(authority.file.read_bytes())
        assert asked.call(url, tls=settings).outcome is Outcome.OK
        trusted.write_text("half written")
        assert asked.call(url, tls=settings).outcome is Outcome.OK  # the old one survives


def config(tmp_path, text):
    file = tmp_path / "astrometer.toml"
    file.write_text(f'[targets.a]\nurl = "https://a"\n{text}\n')
    return load(file, {})


def test_a_target_has_its_own(tmp_path):
    authority = Authority(tmp_path)
    cert, key = authority.issue("client")
    names = f'ca_file = "{authority.file.name}"\nclient_cert = "{cert.name}"\nclient_key = "{key.name}"'
    tls = config(tmp_path, names).target().tls
    assert tls == TlsSettings(ca_file=authority.file, client_cert=cert, client_key=key)
    assert target_from_options("https://a", to_environment(tls)).tls == tls
    assert config(tmp_path, "insecure_skip_verify = true").target().tls.insecure_skip_verify


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('ca_file = "none.pem"', "targets.a: ca_file: {folder}/none.pem: cannot be read (No such file"),
        ('ca_file = "astrometer.toml"', "targets.a: ca_file: {folder}/astrometer.toml: has no certificate"),
        ('client_key = "x"', "targets.a: client_key needs client_cert"),
        (
            'client_cert = "astrometer.toml"',
            "client_cert: {folder}/astrometer.toml: not a certificate and its key",
        ),
    ],
)
def test_a_file_that_cannot_be_used_is_named_before_anything_is_asked(tmp_path, text, message):
    with pytest.raises(ConfigError) as error:
        config(tmp_path, text)
    assert message.format(folder=tmp_path) in str(error.value)


def plan(tls, folder):
    target = Target(name="t", url="https://a", tls=tls)
    return LoadPlan(
        locustfile=folder / "x.py", target=target, users=1, spawn_rate=1.0, duration_s=1.0,
        stop_timeout_s=1.0, out=folder,
    )  # fmt: skip


def test_a_load_s_child_gets_the_settings_of_its_own_target_alone(tmp_path):
    settings = TlsSettings(ca_file=tmp_path / "ca", client_cert=tmp_path / "cert", insecure_skip_verify=True)
    one = plan(settings, tmp_path)
    assert one.environment({"ASTRBOT_CA_FILE": "other", "HOME": "/h"}) == {"HOME": "/h"}
    ours, _ = take_ours(one.command())
    assert Settings.given(ours).tls == settings
    assert not {*VARIABLES} & {*take_ours(plan(TlsSettings(), tmp_path).command())[0]}


ASKING = [["clean"], ["doctor", "--timeout", "5"], ["probe", "--once"]]


@pytest.mark.parametrize(
    "command", [*ASKING, pytest.param(["load", "chat", "--yes"], marks=pytest.mark.process)]
)
def test_a_certificate_that_nobody_verifies_is_warned_of(command):
    with create_server(("127.0.0.1", 0)) as free:
        url = f"https://127.0.0.1:{free.getsockname()[1]}"
    known = {"ASTRBOT_API_KEY": "abk_x"}
    skipping = CliRunner().invoke(
        main, [*command, "--host", url], env={**known, "ASTRBOT_INSECURE_SKIP_VERIFY": "1"}
    )
    optional = CliRunner().invoke(main, [*command, "--host", url, "--insecure-skip-verify"], env=known)
    assert f"WARNING: {url}: its TLS certificate is NOT verified" in skipping.output
    assert f"WARNING: {url}: its TLS certificate is NOT verified" in optional.output
    assert "WARNING" not in CliRunner().invoke(main, [*command, "--host", url], env=known).output


def test_settings_of_tls_without_tls_are_refused(tmp_path):
    file = tmp_path / "a.toml"
    file.write_text('[targets.a]\nurl = "http://a"\ninsecure_skip_verify = true\n')
    with pytest.raises(ConfigError, match="need a URL with https://"):
        load(file, {})


COMMANDS = [*ASKING, ["load", "chat"], ["capacity", "chat", "--slo", "errors < 1%"]]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_every_command_takes_the_options_with_host_and_refuses_what_they_cannot_mean(command, tmp_path):
    def said(*words):
        done = CliRunner().invoke(main, [*command, *words], env={"ASTRBOT_API_KEY": "abk_x"})
        return done.exit_code, done.output

    none = tmp_path / "none.pem"
    code, output = said("--host", "https://127.0.0.1:9", "--ca-file", str(none))
    assert (code, f"ca_file: {none}: cannot be read (No such file" in output) == (2, True)
    code, output = said("--host", "https://127.0.0.1:9", "--client-key", str(none))
    assert (code, "client_key needs client_cert" in output) == (2, True)
    code, output = said("--host", "http://127.0.0.1:9", "--insecure-skip-verify")
    assert (code, "--insecure-skip-verify needs a URL with https://" in output) == (2, True)
    file = tmp_path / "a.toml"
    file.write_text('[targets.a]\nurl = "https://a"\n')
    code, output = said("--config", str(file), "--ca-file", str(none))
    assert (code, "--ca-file needs --host: for a target of" in output, "set ca_file there" in output) == (
        2, True, True,
    )  # fmt: skip


def test_a_dry_run_shows_the_options_to_type(authority):
    words = ["--host", "https://127.0.0.1:9", "--ca-file", str(authority.file), "--insecure-skip-verify"]
    for place in ([*words], [*words[:2], "--", *words[2:]]):
        done = CliRunner().invoke(main, ["load", "chat", "--dry-run", *place], env={"ASTRBOT_API_KEY": "x"})
        assert f"--ca-file {authority.file} --insecure-skip-verify" in done.output


@pytest.mark.process
@pytest.mark.parametrize(
    ("issued", "options", "verified"),
    [({}, "--ca-file", True), ({"days": -1}, "--insecure-skip-verify", False)],
)
def test_a_run_over_tls(sim, authority, tmp_path, issued, options, verified):
    words = [options, str(authority.file)] if verified else [options]
    with tls_front(*authority.issue("front", **issued), sim.url) as url:
        run = ["load", "reads", "--host", url, "-u", "2", "-t", "2s", "--out", str(tmp_path / "out")]
        loaded = CliRunner().invoke(main, [*run, *words], env=sim.environment())
        probed = CliRunner().invoke(
            main, ["probe", "--once", "--probe", "reads", "--host", url, *words], env=sim.environment()
        )
    results = document.read(tmp_path / "out")
    assert results["turns"]["outcomes"].keys() == {"ok"}, loaded.output
    assert probed.exit_code == 0, probed.output
    assert results["target"]["tls_verified"] is verified
    note = "TLS certificate was not verified (--insecure-skip-verify)"
    shown = [" ".join(loaded.output.split())]
    shown += [(tmp_path / "out" / name).read_text() for name in ("report.html", "summary.md")]
    plain = [text.replace("\\", "").replace("&#39;", "'") for text in shown]
    assert [note in text for text in plain] == [not verified] * 3


@pytest.mark.process
@pytest.mark.parametrize(
    ("issued", "trusted", "reason"),
    [
        ({"days": -1}, True, "the certificate has expired"),
        ({"host": "other.example"}, True, "the certificate is for another host name"),
        ({}, False, "the certificate's issuer is unknown here"),
    ],
)
def test_load_and_probe_tell_expired_wrong_name_and_unknown_issuer_apart(
    sim, authority, issued, trusted, reason
):
    words = ["--ca-file", str(authority.file)] if trusted else []
    with tls_front(*authority.issue("bad", **issued), sim.url) as url:
        for command in (["load", "reads"], ["probe", "--once", "--probe", "reads"]):
            done = CliRunner().invoke(main, [*command, "--host", url, *words], env=sim.environment())
            assert (done.exit_code, reason in " ".join(done.output.split())) == (4, True), done.output


@pytest.mark.process
def test_plain_locust_takes_the_options_and_counts_what_does_not_verify(sim, authority, tmp_path):
    with tls_front(*authority.issue("plain"), sim.url) as url:
        over_tls = type(sim)(url=url, app=sim.app)
        known, _ = over_tls.locust("reads", "--ca-file", str(authority.file), out=tmp_path / "a", seconds=2)
        unknown, _ = over_tls.locust("reads", out=tmp_path / "b", seconds=2)
    assert known["turns"]["outcomes"].keys() == {"ok"}
    assert known["target"]["tls_verified"] is True
    assert unknown["turns"]["outcomes"].keys() == {"tls"}
