"""Requests of other sites' pages are refused: by Origin, Host, and what the browser says of them."""

import asyncio

import httpx
import pytest

from astrometer.config.settings import Config
from astrometer.probing.exporter.access import MOST_SAID, WebAccess
from astrometer.probing.exporter.exporter_app import Exporter
from astrometer.same_origin import refusal

PAGES = ("/", "/metrics", "/history", "/history/1", "/config", "/probe?target=a&probe=b")
EVIL = "http://evil.example"


def exporter_at(listens_on: str, *allowed: str, said: list[str] | None = None) -> Exporter:
    def refuse(host: str | None, origin: str | None) -> str | None:
        return refusal(host=host, origin=origin, listens_on=listens_on, allowed_hosts=allowed)

    guard = WebAccess(refuse=refuse, say=([] if said is None else said).append)
    exporter = Exporter(Config(source="test", targets={}), [], guard=guard)
    exporter.reload = lambda: (True, "reloaded")
    return exporter


def ask(exporter: Exporter, path: str, host: str, method: str = "GET", **headers: str) -> httpx.Response:
    async def go() -> httpx.Response:
        transport = httpx.ASGITransport(exporter.app)
        async with httpx.AsyncClient(transport=transport, base_url=f"http://{host}") as client:
            return await client.request(
                method, path, headers={k.replace("_", "-"): v for k, v in headers.items()}
            )

    return asyncio.run(go())


@pytest.mark.parametrize("path", PAGES)
def test_a_name_that_was_made_to_mean_this_machine_reads_nothing(path):
    exporter = exporter_at("127.0.0.1")
    refused = ask(exporter, path, "evil.example:16185")
    assert (refused.status_code, "--allowed-host NAME adds one" in refused.text) == (403, True)
    assert refused.headers["x-content-type-options"] == "nosniff"
    for name in ("127.0.0.1:16185", "localhost:16185", "[::1]:16185"):
        assert ask(exporter, path, name).status_code in (200, 400, 404), name


@pytest.mark.parametrize("path", ["/-/healthy", "/-/ready"])
def test_health_checks_may_use_any_name(path):
    assert ask(exporter_at("127.0.0.1"), path, "whatever.example").status_code in (200, 503)


@pytest.mark.parametrize(
    "origin", [EVIL, "null", "http://127.0.0.1:1", "https://evil.example:16185", "file://"]
)
def test_a_page_of_another_site_cannot_reload(origin):
    exporter = exporter_at("127.0.0.1")
    assert ask(exporter, "/-/reload", "127.0.0.1:16185", "POST", origin=origin).status_code == 403
    own = ask(exporter, "/-/reload", "127.0.0.1:16185", "POST", origin="http://127.0.0.1:16185")
    assert (own.status_code, own.text) == (200, "reloaded\n")
    assert ask(exporter, "/-/reload", "127.0.0.1:16185", "POST").status_code == 200  # curl


def test_an_allowed_host_gets_in_and_is_a_good_origin():
    exporter = exporter_at("0.0.0.0", "probe.example")
    assert ask(exporter, "/metrics", "probe.example").status_code == 200
    assert ask(exporter, "/metrics", "10.1.2.3:16185").status_code == 200  # a pod's address
    assert ask(exporter, "/metrics", "other.example").status_code == 403
    reload = ask(exporter, "/-/reload", "probe.example", "POST", origin="https://probe.example")
    assert reload.status_code == 200


def test_an_image_or_a_link_of_another_site_starts_no_probe():
    exporter = exporter_at("127.0.0.1")
    image = {"sec_fetch_site": "cross-site", "sec_fetch_mode": "no-cors", "sec_fetch_dest": "image"}
    link = {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate", "sec_fetch_dest": "document"}
    for path in PAGES:
        assert ask(exporter, path, "127.0.0.1:16185", **image).status_code == 403, path
    assert ask(exporter, "/", "127.0.0.1:16185", **link).status_code == 200
    assert ask(exporter, "/probe?target=a&probe=b", "127.0.0.1:16185", **link).status_code == 403
    assert ask(exporter, "/-/reload", "127.0.0.1:16185", "POST", **link).status_code == 403


def test_refusals_are_said_once_each_and_not_for_ever():
    said: list[str] = []
    exporter = exporter_at("127.0.0.1", said=said)
    for _ in range(3):
        ask(exporter, "/metrics", "exporter:16185")
    assert said == [
        "refused: Host 'exporter:16185' is not a name of this server; --allowed-host NAME adds one"
    ]
    for number in range(2 * MOST_SAID):
        ask(exporter, "/metrics", f"h{number}.example")
    assert len(said) == MOST_SAID


@pytest.mark.parametrize("number", ["9" * 5000, "-1", "0x1", "1.0", "\u0661", "1" * 19, "%00"])
def test_no_number_in_a_url_breaks_the_history(number):
    assert ask(exporter_at("127.0.0.1"), f"/history/{number}", "127.0.0.1").status_code == 404
