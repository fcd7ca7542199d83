"""The web UI's form -> refused with a sentence when its test could not work, before Locust starts it."""

from types import SimpleNamespace
from typing import Any

from astrometer.load.options import OptionError, Settings


def guard(environment: Any, web_ui: Any, host: str) -> None:
    """Check each start of a test. The key belongs to `host`: it goes to no other that somebody types in."""
    from flask import jsonify, request  # noqa: PLC0415 (only where there is a web UI)

    def before_request() -> Any:
        if request.method != "POST" or not request.path.endswith("/swarm"):
            return None
        try:
            _check_host(str(request.form.get("host") or host), host)
            typed = {**vars(environment.parsed_options), **request.form}
            Settings.of(SimpleNamespace(**typed)).corpus()
        except OptionError as exc:
            return jsonify({"success": False, "message": str(exc), "host": host})
        return None

    web_ui.app.before_request(before_request)


def _check_host(typed: str, host: str) -> None:
    if typed.rstrip("/") != host.rstrip("/"):
        raise OptionError(f"host: the API key is for {host}; start Locust with --host to load another server")
