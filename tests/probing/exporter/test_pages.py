"""What a hostile server says is shown on every page, as text that does nothing."""

import asyncio
import re
import unicodedata
from collections.abc import AsyncIterator

import httpx

from astrometer import bundled
from astrometer.config.settings import Config
from astrometer.probing.exporter.exporter_app import Exporter
from astrometer.probing.plan import make_plans
from astrometer.probing.probe_files import load_folder
from astrometer.probing.runner import Runner

PROBES = load_folder(bundled.folder("probes")).probes
# As JSON: half of a surrogate pair, an escape sequence, a change of direction, a bell, markup, many lines.
SAYS = r"half \ud800 red \u001b[31m \u202eesrever \u0007 </pre><script>alert(1)</script> a\r\nb\u0085c"
ENVELOPE = ('{"status": "error", "message": "' + SAYS + '", "data": null}').encode()


def hostile() -> httpx.MockTransport:
    async def pieces() -> AsyncIterator[bytes]:
        yield ENVELOPE

    async def respond(_request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=pieces(), headers={"Content-Type": "application/json"})

    return httpx.MockTransport(respond)


def test_every_page_stays_whole_and_harmless(bench):
    target = bench.target("all")
    config = Config(source="test", targets={target.name: target})
    plans = make_plans(config, PROBES)
    exporter = Exporter(config, plans, Runner(http=hostile))

    async def go() -> dict[str, httpx.Response]:
        for plan in plans:
            exporter.finished(await exporter.runner.run(plan))
        paths = ["/", "/history", "/config", "/metrics", "/probe?target=sim&probe=reads&debug=true"]
        paths += [f"/history/{number}" for number in range(1, len(plans) + 1)]
        transport = httpx.ASGITransport(exporter.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://exporter") as client:
            return {path: await client.get(path) for path in paths}

    pages = asyncio.run(go())
    assert [path for path, page in pages.items() if page.status_code != 200] == []
    shown = " ".join(page.content.decode("utf-8") for page in pages.values())  # valid: else this raises
    assert {char for char in shown if unicodedata.category(char) in ("Cc", "Cf", "Cs")} <= {"\n"}
    html = pages["/"].text + pages["/history"].text
    assert "alert(1)" in html  # it is shown ...
    assert not re.search(r"<script|</pre>", html)  # ... as text
    assert all("script-src" not in page.headers["content-security-policy"] for page in pages.values())
    plain = [page for path, page in pages.items() if "debug" in path or "history/" in path]
    assert {page.headers["content-type"].split(";")[0] for page in plain} == {"text/plain"}
