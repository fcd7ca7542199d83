"""Version and identity of a server, at no token and with nothing left behind."""

import asyncio

import httpx
import pytest

from astrometer.api.endpoints import API, VERSIONS, VERSIONS_V1
from astrometer.probing.runner import Runner
from astrometer.probing.target_checks.server_info import ask_server_info, ask_version
from astrometer.probing.verdict import Verdict


def test_the_newest_tells_its_version_and_lets_the_key_delete(bench):
    info = asyncio.run(ask_server_info(bench.target("all"), 10))
    assert (info.version, info.identity.can_delete, info.trouble) == ("4.29.3", True, "")
    assert (bench.store.counters["model_asked"], bench.sessions()) == (0, [])
    assert bench.store.counters["requests_chat"] == 0


def test_the_oldest_tells_its_version_in_a_chat(old_bench):
    info = asyncio.run(ask_server_info(old_bench.target("all"), 10, with_identity=False))
    assert (info.version, info.identity, info.trouble) == ("4.18.0", None, "")
    assert old_bench.store.counters["requests_chat"] == 2  # /reset of the fixed session, /help
    assert old_bench.store.counters["model_asked"] == 0


def test_the_oldest_deletes_nothing_and_says_why(old_bench):
    info = asyncio.run(ask_server_info(old_bench.target("all"), 10, with_version=False))
    assert (info.version, info.identity.can_delete) == (None, False)
    assert "before 4.26" in info.identity.why


def test_a_server_that_is_not_there_is_trouble_and_no_exception(bench):
    info = asyncio.run(ask_server_info(bench.target("all", url="http://127.0.0.1:1"), 5))
    assert (info.version, info.identity) == (None, None)
    assert info.trouble != ""


def test_without_a_chat_key_the_version_is_known_and_whose_sessions_is_not(bench):
    info = asyncio.run(ask_server_info(bench.target(im="im"), 5))
    assert (info.version, info.identity) == ("4.29.3", None)
    assert info.trouble == "no key of target sim has the scope chat"


@pytest.mark.parametrize("names", [(), ("im",)])
def test_the_version_alone_needs_no_key_and_leaves_no_session(bench, names):
    target = bench.target(**dict.fromkeys(names, "im"))
    info = asyncio.run(ask_server_info(target, 5, with_identity=False))
    assert (info.version, info.trouble) == ("4.29.3", "")
    assert not {name for name in bench.store.counters if "session" in name}


class Proxy(httpx.AsyncHTTPTransport):
    """Lets nothing through but some part of the paths."""

    def __init__(self, status, closed):
        super().__init__()
        self.status, self.closed, self.asked = status, closed, []

    async def handle_async_request(self, request):
        self.asked.append(request.url.path)
        if request.url.path.startswith(API) and request.url.path not in self.closed:
            return await super().handle_async_request(request)
        page = httpx.ByteStream(b"<h1>nginx</h1>")
        return httpx.Response(self.status, headers={"content-type": "text/html"}, stream=page)


@pytest.mark.parametrize("status", [200, 302, 401, 403, 404, 502])
@pytest.mark.parametrize(("closed", "asks"), [((), 0), ((VERSIONS_V1.path,), 1)])
def test_behind_a_proxy_that_knows_one_part_of_the_api_the_next_way_is_taken(bench, status, closed, asks):
    proxy, versions = Proxy(status, closed), []

    async def probe(ctx):
        versions.append(await ask_version(ctx))
        return Verdict.passed()

    plan = bench.plan(bench.target("all"), probe, costs_tokens=False)
    assert asyncio.run(Runner(http=lambda: proxy).run(plan)).ok
    assert versions[0].running == "4.29.3"
    assert proxy.asked[:2] == [VERSIONS.path, VERSIONS_V1.path]
    assert bench.store.counters["requests_chat"] == asks
