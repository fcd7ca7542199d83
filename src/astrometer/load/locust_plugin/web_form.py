"""Locust's web UI -> requests of other web sites are refused, and only what the form shows is taken.

Locust's `/swarm` sets any parsed option that a request names, and lets every web page read every answer
(`Access-Control-Allow-Origin: *`). Files, keys, users' names and prefixes are fixed when the process starts.
"""

import logging
from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any

from locust import argument_parser

from astrometer.load.option_table import OptionError
from astrometer.load.options import Settings
from astrometer.same_origin import refusal

LOCUSTS_FIELDS = frozenset(
    {"user_count", "spawn_rate", "host", "run_time", "profile", "user_classes", "shape_class"}
)
# Of a user class, which the class picker lets a person edit.
USER_FIELDS = frozenset({"user_class_name", "host", "weight", "fixed_count", "tasks"})

log = logging.getLogger(__name__)


def guard(environment: Any, web_ui: Any, host: str, stopped: Callable[[], None]) -> None:
    """Check every request before any route sees it. The key belongs to `host`: it goes to no other.

    `stopped` is called when somebody stops the test.
    """
    from flask import jsonify, make_response, request  # noqa: PLC0415 (only where there is a web UI)

    hosts = Settings.of(environment.parsed_options).allowed_hosts
    shown = LOCUSTS_FIELDS | set(argument_parser.ui_extra_args_dict())

    def before_request() -> Any:
        why = refusal(
            host=request.headers.get("Host"),
            origin=request.headers.get("Origin"),
            listens_on=web_ui.host,
            allowed_hosts=hosts,
            option="--astrometer-allowed-host",
        )
        if why is not None:
            log.warning("web UI: %s %s refused: %s", request.method, ascii(request.path[:80]), why)
            return make_response(why, 403)
        if request.method != "POST":
            return None
        try:
            if request.path.endswith("/swarm"):
                _check_fields(request.form, shown)
                _check_host(str(request.form.get("host") or host), host)
                typed = {**vars(environment.parsed_options), **request.form}
                Settings.of(SimpleNamespace(**typed)).corpus()
            elif request.path.endswith("/stop"):
                stopped()
            elif request.path.endswith("/user"):
                settings = _json_object(request)
                _check_fields(settings, USER_FIELDS)
                _check_host(str(settings.get("host") or host), host)
        except OptionError as exc:
            return jsonify({"success": False, "message": str(exc), "host": host})
        return None

    def after_request(response: Any) -> Any:
        response.headers.pop("Access-Control-Allow-Origin", None)
        return response

    # Ours is the first to see a request, and the last to see its answer (they are called in reverse).
    web_ui.app.before_request_funcs.setdefault(None, []).insert(0, before_request)
    web_ui.app.after_request_funcs.setdefault(None, []).insert(0, after_request)


def _json_object(request: Any) -> dict[str, Any]:
    found = request.get_json(force=True, silent=True)
    if not isinstance(found, dict):
        raise OptionError("the settings of a user class are a JSON object")
    return found


def _check_fields(given: Iterable[str], shown: Iterable[str]) -> None:
    hidden = sorted(set(given) - set(shown))
    if hidden:
        names = ", ".join(ascii(str(name)[:40]) for name in hidden[:5])
        raise OptionError(f"not in the form: {names}; such options are set when Locust starts")


def _check_host(typed: str, host: str) -> None:
    if typed.rstrip("/") != host.rstrip("/"):
        raise OptionError(f"host: the API key is for {host}; start Locust with --host to load another server")
