"""Version and identity of a server, at no token and with nothing left behind."""

import asyncio

from astrometer.probing.target_checks.server_info import ask_server_info


def test_the_newest_tells_its_version_and_lets_the_key_delete(bench):
    info = asyncio.run(ask_server_info(bench.target("all"), 10))
    assert (info.version, info.identity.can_delete, info.trouble) == ("4.29.3", True, "")
    assert (bench.store.counters["model_asked"], bench.sessions()) == (0, [])


def test_the_oldest_deletes_nothing_and_says_why(old_bench):
    info = asyncio.run(ask_server_info(old_bench.target("all"), 10, with_version=False))
    assert (info.version, info.identity.can_delete) == (None, False)
    assert "before 4.26" in info.identity.why


def test_a_server_that_is_not_there_is_trouble_and_no_exception(bench):
    info = asyncio.run(ask_server_info(bench.target("all", url="http://127.0.0.1:1"), 5))
    assert (info.version, info.identity) == (None, None)
    assert info.trouble != ""


def test_without_a_chat_key_nothing_is_known(bench):
    info = asyncio.run(ask_server_info(bench.target(im="im"), 5))
    assert info.trouble == "no key of target sim has the scope chat"
