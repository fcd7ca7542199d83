"""What a load would only find out at its end is said before it begins."""

import pytest
from click.testing import CliRunner
from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from astrometer.cli import main
from astrometer.config.secret import Secret
from astrometer.config.settings import Key, Target
from astrometer.probing.target_checks.preflight import NotAstrBot, check_key
from astrometer.targets.serving import serve
from astrometer.targets.simulator.simulator_app import Simulator
from astrometer.targets.simulator.simulator_config import SimulatorConfig


@pytest.fixture(scope="module", params=["4.18.0", "4.29.3"])
def server(request):
    app = Simulator(SimulatorConfig(version=request.param))
    with serve(app) as url:
        yield url, app.config.keys


def target(url, *secrets):
    keys = {secret: Key(name=secret, secret=Secret(secret)) for secret in secrets}
    return Target(name="t", url=url, keys=keys)


def load(url, key, tmp_path, *more):
    command = [
        "load",
        "chat",
        "--host",
        url,
        "--users",
        "1",
        "--duration",
        "1s",
        "--out",
        str(tmp_path / "out"),
    ]
    done = CliRunner().invoke(main, [*command, *more], env={"ASTRBOT_API_KEY": key})
    return done.exit_code, " ".join(done.output.replace("│", " ").split())


@pytest.mark.process
@pytest.mark.parametrize("name", ["revoked", "expired"])
def test_a_key_that_the_server_refuses_is_a_usage_error(server, name, tmp_path):
    url, keys = server
    code, said = load(url, keys[name].secret, tmp_path)
    assert code == 2
    assert "refuses the key (HTTP 401): it is bad, revoked or expired" in said
    assert "--no-check" in said
    assert keys[name].secret not in said
    assert not (tmp_path / "out").exists()


def test_a_good_key_is_let_through_also_without_the_scope_for_chats(server):
    url, keys = server
    check_key(target(url, keys["all"].secret, keys["config"].secret))


@pytest.mark.process
def test_what_is_no_astrbot_is_not_loaded(tmp_path):
    with serve(Starlette(routes=[Route("/", lambda _: PlainTextResponse("hello"))])) as url:
        code, said = load(url, "abk_any", tmp_path)
    assert code == 4
    assert "answers, but not like an AstrBot (HTTP 404, text/plain)" in said


@pytest.mark.process
def test_the_address_of_the_api_in_place_of_the_servers_is_not_loaded(server, tmp_path):
    url, keys = server
    code, said = load(f"{url}/api/v1", keys["all"].secret, tmp_path)
    assert code == 4
    assert "not like an AstrBot (HTTP " in said
    assert f": try {url}" in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("status", [404, 405])
def test_a_server_that_has_no_such_path_is_no_astrbot_also_when_it_says_so_as_json(status):
    app = Starlette(routes=[Route("/{rest:path}", lambda _: JSONResponse({"status": "error"}, status))])
    with serve(app) as url, pytest.raises(NotAstrBot) as error:
        check_key(target(url, "abk_any"))
    assert ": try" not in str(error.value)


@pytest.mark.parametrize(("status", "passes"), [(503, True), (429, True), (302, False)])
def test_a_server_in_trouble_may_pass(status, passes):
    app = Starlette(routes=[Route("/{rest:path}", lambda _: Response("busy", status))])
    with serve(app) as url:
        if passes:
            check_key(target(url, "abk_any"))
        else:
            with pytest.raises(NotAstrBot):
                check_key(target(url, "abk_any"))
