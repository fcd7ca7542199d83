"""The probe `im_chat` over wss://: TLS in front of the adapter, with a CA of one's own."""

from dataclasses import replace

import pytest
from messenger_bench import DATA, OURS
from prometheus_client import CollectorRegistry
from tls_files import Authority, tls_front

from astrometer.config.exporter_settings import Buckets
from astrometer.probing.exporter.metrics import ProbeMetrics, SelfMetrics
from astrometer.probing.exporter.series import PROCESS_SERIES, Series, count
from astrometer.probing.plan import Plan
from astrometer.probing.status.state_by_layer import StateBook
from astrometer.wire.tls import TlsSettings


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(autouse=True)
def no_variable(monkeypatch):
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)


def over_tls(messenger, front, keys=None, **tls):
    url = front.replace("https://", "wss://") + "/ws"
    return replace(messenger.target(url=url, keys=keys), tls=TlsSettings(**tls))


def test_questions_are_answered_where_the_ca_is_named_and_where_the_system_trusts_it(
    messenger, authority, monkeypatch
):
    with tls_front(*authority.issue("good"), messenger.adapter.url) as front:
        runs = [messenger.run(over_tls(messenger, front, ca_file=authority.file)) for _ in range(2)]
        assert [run.reason for run in runs] == ["ok", "ok"], [run.detail for run in runs]
        assert set(runs[0].phases) == {"resolve", "connect", "tls"}
        assert 0.05 < runs[0].im_turns[0].reply_first_s < 1.0
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
        assert messenger.run(over_tls(messenger, front)).reason == "ok"
    assert messenger.adapter.counters["im_connections"] == 3


def test_the_phases_are_those_of_the_link_and_not_of_the_cleanup_and_all_are_foreseen(messenger, authority):
    with tls_front(*authority.issue("phases"), messenger.adapter.url) as front:
        target = over_tls(messenger, front, keys={"data": DATA}, ca_file=authority.file)
        run = messenger.run(target)
    # Over plain HTTP: the conversation is listed, deleted, seen to be gone, and the version is asked.
    assert (run.reason, len(run.calls)) == ("ok", 4)
    assert set(run.phases) == {"resolve", "connect", "tls"}
    plans, registry = [Plan(target=target, probe=OURS["im_chat"])], CollectorRegistry()
    metrics = ProbeMetrics(registry)
    Series(metrics).declare(plans)
    metrics.observe(run)
    book = StateBook()
    book.keep(plans, 0.0)
    metrics.set_states(book.states(0.0))
    metrics.set_outdated("sim", False)
    metrics.started.labels("sim").set(0)  # a probe that has not run here would tell
    samples = [sample for family in registry.collect() for sample in family.samples]
    own = CollectorRegistry()
    SelfMetrics(own)
    foreseen = count(plans, Buckets()) - PROCESS_SERIES - sum(len(f.samples) for f in own.collect())
    assert len(samples) == foreseen


@pytest.mark.parametrize(
    ("issued", "why"),
    [
        ({"days": -1}, "the certificate has expired"),
        ({"host": "other.example"}, "the certificate is for another host name"),
    ],
)
def test_a_certificate_that_is_no_good_is_tls_with_its_reason(messenger, authority, issued, why):
    with tls_front(*authority.issue("odd", **issued), messenger.adapter.url) as front:
        refused = messenger.run(over_tls(messenger, front, ca_file=authority.file))
        assert (refused.reason, why in refused.detail) == ("tls", True), refused.detail
        assert messenger.run(over_tls(messenger, front, insecure_skip_verify=True)).reason == "ok"


def test_an_unknown_authority_is_tls_with_its_cure(messenger, authority):
    with tls_front(*authority.issue("own"), messenger.adapter.url) as front:
        refused = messenger.run(over_tls(messenger, front))
    assert (refused.reason, "ca_file" in refused.detail) == ("tls", True), refused.detail
    assert messenger.adapter.counters["im_connections"] == 0


def test_an_adapter_without_tls_is_told_from_one_with_it(messenger):
    plain = messenger.adapter.url.replace("ws://", "wss://")
    refused = messenger.run(messenger.target(url=plain))
    assert (refused.reason, "does not speak TLS on this port" in refused.detail) == ("tls", True)
