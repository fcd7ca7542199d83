"""A running sandbox -> killed, restarted, with other settings; and what its database holds."""

import signal
from dataclasses import dataclass

from astrometer.api.management_endpoints import adapter_settings
from astrometer.targets.messenger.messenger_profile import MESSENGER, MessengerProfile
from astrometer.targets.sandbox.box import Box
from astrometer.targets.sandbox.database import opened
from astrometer.targets.sandbox.provision import LOOPBACK, ProvisionSettings, apply_settings
from astrometer.targets.sandbox.sandbox_messenger import ROUTE, MessengerAccess, change_profile


def kill(box: Box, number: int = signal.SIGKILL) -> None:
    """Send a signal to the server; after a deadly one, `restart` brings it back with its data."""
    box._server.kill(number)


def wait_dead(box: Box, timeout_s: float = 60.0) -> None:
    """Raises subprocess.TimeoutExpired when the server lives on."""
    box._server.process.wait(timeout_s)


def restart(box: Box) -> None:
    """End the server if it runs and start it again: same port, same data, same keys."""
    box._server.end()
    box._start_server()
    box.state.write()
    box.dashboard.log_in()
    if box.im_port is not None:
        box.wait_for_messenger()
    if box.messenger is not None:
        box.wait_for_adapter(box.messenger)


def configure(box: Box, settings: ProvisionSettings) -> None:
    """Other settings, at once; another model timeout restarts the server (some 10 s)."""
    restarts = settings.model_timeout_s != box.settings.model_timeout_s
    box.settings = settings
    if not restarts:
        config = box.dashboard.config()
        apply_settings(config, settings)
        box.dashboard.call("POST", "/api/config/astrbot/update", {"conf_id": "default", "config": config})
        return
    box._server.end()
    box._write_settings()
    restart(box)


def stop_model(box: Box) -> None:
    """AstrBot's calls to it are refused until `start_model`."""
    box._model.end()


def use_profile(box: Box, profile: MessengerProfile) -> None:
    """Treat the questions of the messenger by another profile."""
    change_profile(box.dashboard, box.messenger, profile)


def switch_adapter(box: Box, access: MessengerAccess, *, enabled: bool) -> None:
    """Disable or enable the messenger's adapter: its clients are closed with 1000."""
    entry = adapter_settings(MESSENGER, access.port, LOOPBACK, access.token) | {"enable": enabled}
    box.dashboard.call("POST", "/api/config/platform/update", {"id": MESSENGER, "config": entry})


def close_messenger(box: Box) -> None:
    """Take adapter, route and profile away."""
    if box.messenger is None:
        return
    box.dashboard.call("POST", "/api/config/platform/delete", {"id": MESSENGER})
    box.dashboard.call("POST", "/api/config/umo_abconf_route/delete", {"umo": ROUTE})
    box.dashboard.call("POST", "/api/config/abconf/delete", {"id": box.messenger.profile_id})
    box.messenger = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """How many there are, of all users."""

    sessions: int
    user_messages: int


def stored(box: Box) -> Stored:
    """Count what the server has stored so far."""
    with opened(box.data_dir, "ro") as database:

        def count(what: str) -> int:
            return database.execute(f"SELECT count(*) FROM {what}").fetchone()[0]

        return Stored(
            sessions=count("platform_sessions"),
            user_messages=count("platform_message_history WHERE sender_id <> 'bot'"),
        )
