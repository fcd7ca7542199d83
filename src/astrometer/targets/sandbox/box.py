"""An AstrBot version -> a disposable real server with a stub model behind it and keys for every scope.

`with sandbox(SandboxOptions(version="4.18.0")) as box:` and everything is gone at the end: processes, folder,
state file. A keeper process sees to that even when this process is killed.
"""

import os
import secrets
import shlex
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import psutil

from astrometer.targets.messenger.messenger_profile import MESSENGER, MessengerProfile
from astrometer.targets.sandbox.astrbot_plugin import AstrBotPlugin, PluginError, check_loaded
from astrometer.targets.sandbox.config_patch import ConfigPatch
from astrometer.targets.sandbox.database import DatabaseError
from astrometer.targets.sandbox.find_python import NoPythonError
from astrometer.targets.sandbox.index_versions import latest_version
from astrometer.targets.sandbox.install import Installation, InstallError, check_cache, install
from astrometer.targets.sandbox.provision import (
    USERNAME,
    ApiKey,
    Dashboard,
    ProvisionError,
    ProvisionSettings,
    make_keys,
    messenger_connected,
    messenger_listed,
    new_password,
    write_settings,
)
from astrometer.targets.sandbox.sandbox_messenger import MessengerAccess, open_messenger
from astrometer.targets.sandbox.sandbox_state import MARK, SandboxState, reap
from astrometer.targets.sandbox.server_process import Child, ChildError, free_port, wait_for_json, wait_until
from astrometer.targets.script import ModelScript
from astrometer.tethered import module_command

Say = Callable[[str], None]

STARTING_FAILED = (
    *(InstallError, NoPythonError, ChildError, ProvisionError, DatabaseError, PluginError),
    *(httpx.HTTPError, OSError),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxOptions:
    """What to start. `port` 0 takes a free one; `model` is what the stub does without a directive.

    `installation`: this very one, instead of looking for `version` again.
    """

    version: str = "latest"
    installation: Installation | None = None
    port: int = 0
    settings: ProvisionSettings = field(default_factory=ProvisionSettings)
    model: ModelScript = field(default_factory=ModelScript)
    im_sink: bool = False  # an instant messenger, `onebot`, that notes what arrives in it
    messenger: MessengerProfile | None = None  # an adapter, `messenger`, that waits for a OneBot client
    plugins: Sequence[AstrBotPlugin] = ()  # that it starts with; their libraries are in `installation`
    config_patch: ConfigPatch | None = None  # of its configuration
    start_timeout_s: float = 180.0


class Box:
    def __init__(self, options: SandboxOptions, state: SandboxState, say: Say) -> None:
        self.options = options
        self.state = state
        self.say = say
        self.directory = Path(state.directory)
        self.data_dir = self.directory / "data"
        self.log = self.directory / "astrbot.log"
        self.version = options.version
        self.port = options.port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.stub_url = ""
        self.im_port = free_port() if options.im_sink else None
        self.settings = options.settings
        self.password = new_password()
        self.api_keys: Mapping[str, ApiKey] = {}
        self.dashboard = Dashboard(self.url, self.password)
        self.messenger: MessengerAccess | None = None
        self._astrbot = Path()
        self._server: Child | None = None
        self._model: Child | None = None

    @property
    def keys(self) -> dict[str, str]:
        """Secrets by name: chat, config, file, im, all, revoked, expired."""
        return {name: key.secret for name, key in self.api_keys.items()}

    @property
    def key_ids(self) -> dict[str, str]:
        return {name: key.id for name, key in self.api_keys.items()}

    @property
    def sink_url(self) -> str | None:
        """Where to read what IM pushes delivered (`im_sink.py`); None without `im_sink`."""
        return f"{self.stub_url}/onebot" if self.im_port is not None else None

    @property
    def pid(self) -> int:
        if self._server is None:
            raise RuntimeError("the server was not started")
        return self._server.pid

    @property
    def server_running(self) -> bool:
        return self._server is not None and self._server.running

    def fault(self) -> str | None:
        """Which of its processes ended although nobody asked it to, with its log's end; None: all run."""
        for what, child in ((f"AstrBot {self.version}", self._server), ("the stub model", self._model)):
            if child is not None and not child.running:
                return f"{what} ended (exit {child.process.returncode}):\n{child.log_tail()}"
        return None

    def start(self) -> None:
        """Install if needed, start, make the keys."""
        installed = self.options.installation or install(self.options.version, self.say)
        self.version = installed.version
        self._astrbot = installed.astrbot
        self.say(f"starting AstrBot {installed.version} on {self.url}")
        for folder in ("home", "tmp", "data/config", "data/plugins", "data/temp"):
            (self.directory / folder).mkdir(parents=True)
        (self.directory / ".astrbot").touch()
        # Old versions fetch their web pages when none are there; the API does not need them.
        assets = self.data_dir / "dist" / "assets"
        assets.mkdir(parents=True)
        (assets / "version").write_text(f"v{installed.version}", encoding="utf-8")
        for plugin in self.options.plugins:
            plugin.copy_into(self.data_dir / "plugins")
        self.start_model()
        self._write_settings()
        self._start_server()
        self.dashboard.log_in()
        for plugin in self.options.plugins:
            check_loaded(self.dashboard, plugin, self.version)
        if self.options.config_patch is not None:
            self.options.config_patch.check(self.dashboard.config(), self.version)
        self.api_keys = make_keys(self.dashboard, self.data_dir)
        if self.im_port is not None:
            self.wait_for_messenger()
        if self.options.messenger is not None:
            self.open_messenger(self.options.messenger)
        self.state = replace(self.state, version=self.version, url=self.url)
        self.state.write()

    def start_model(self) -> None:
        """Start the stub model, on the port it had before. Its record begins anew."""
        port = (httpx.URL(self.stub_url).port if self.stub_url else None) or free_port()
        model = self.options.model
        command = module_command("astrometer.targets.model.model_process", "--port", str(port))
        command += ["--ttft", str(model.ttft_s), "--gap", str(model.gap_s), "--tokens", str(model.tokens)]
        if self.im_port is not None:
            command += ["--onebot", f"ws://127.0.0.1:{self.im_port}/ws"]
        self.stub_url = f"http://127.0.0.1:{port}"
        self._model = Child(
            command,
            cwd=self.directory,
            log=self.directory / "model.log",
            environment=self._model_environment(),
        )
        wait_for_json(f"{self.stub_url}/stub/stats", self._model, timeout_s=30, what="the stub model")

    def wait_for_messenger(self, timeout_s: float = 30.0) -> None:
        """Return when AstrBot lists the messenger and it is connected.

        Raises ChildError. Needed after a start, a restart and `start_model`, before something is pushed.
        """
        if self._server is None:
            raise RuntimeError("the server was not started")
        with httpx.Client(timeout=5, trust_env=False) as client:

            def ready() -> bool:
                return messenger_listed(client, self.url, self.keys["im"]) and messenger_connected(
                    client, f"{self.stub_url}/onebot"
                )

            wait_until(ready, self._server, timeout_s=timeout_s, what="the IM adapter of AstrBot")

    def open_messenger(self, profile: MessengerProfile) -> MessengerAccess:
        """Let OneBot clients in. Raises ProvisionError, ChildError."""
        self.messenger = access = open_messenger(self.dashboard, profile, free_port())
        self.wait_for_adapter(access)
        return access

    def wait_for_adapter(self, access: MessengerAccess) -> None:
        """Raises ChildError."""
        if self._server is not None:
            wait_until(lambda: access.is_open, self._server, timeout_s=30, what="the messenger's adapter")

    def describe(self) -> dict[str, Any]:
        """All that a user of the sandbox needs, secrets included. `pid` is the server's."""
        cache = os.environ.get("ASTROMETER_CACHE")
        where = f"ASTROMETER_CACHE={shlex.quote(cache)} " if cache else ""
        return {
            "id": self.state.id,
            "url": self.url,
            "version": self.version,
            "keys": self.keys,
            "key_ids": self.key_ids,
            "stub_url": self.stub_url,
            "sink_url": self.sink_url,
            "messenger": self._messenger_facts(),
            "pid": self.pid,
            "owner_pid": self.state.owner_pid,
            "dashboard": {"url": self.url, "username": USERNAME, "password": self.password},
            "stop": f"{where}astrometer sandbox down {self.state.id}",
            "data_dir": str(self.data_dir),
            "log": str(self.log),
        }

    def _messenger_facts(self) -> dict[str, Any] | None:
        access = self.messenger
        return None if access is None else {"url": access.url, "token": access.token, "platform": MESSENGER}

    def close(self) -> None:
        """End everything and remove it. Safe to call twice."""
        self.dashboard.close()
        reap(self.state)
        for child in (self._server, self._model):
            if child is not None:
                child.process.wait(10)

    def _write_settings(self) -> None:
        write_settings(
            self.data_dir,
            self.settings,
            stub_url=self.stub_url,
            password=self.password,
            im_port=self.im_port,
            patch=self.options.config_patch,
        )

    def _start_server(self) -> None:
        environment = self._marks() | {
            "ASTRBOT_DISABLE_METRICS": "1",
            "DASHBOARD_HOST": "127.0.0.1",
            "ASTRBOT_DASHBOARD_HOST": "127.0.0.1",
            "HOME": str(self.directory / "home"),
            "TMPDIR": str(self.directory / "tmp"),
            "PYTHONUNBUFFERED": "1",
        }
        self._server = Child(
            [self._astrbot, "run", "-p", str(self.port)],
            cwd=self.directory,
            log=self.log,
            environment=environment,
        )
        url, limit_s = f"{self.url}/api/stat/start-time", self.options.start_timeout_s
        wait_for_json(url, self._server, timeout_s=limit_s, what=f"AstrBot {self.version}")
        self.state = replace(self.state, server_pid=self._server.pid)

    def _marks(self) -> dict[str, str]:
        return {MARK: self.state.id}

    def _model_environment(self) -> dict[str, str]:
        # The stub is this package again: it must be found where this process found it.
        path = {"PYTHONPATH": os.environ["PYTHONPATH"]} if "PYTHONPATH" in os.environ else {}
        return self._marks() | path


@contextmanager
def sandbox(options: SandboxOptions | None = None, say: Say = lambda _: None) -> Iterator[Box]:
    """Start a sandbox; when the context ends, or this process does, nothing of it is left.

    Raises `STARTING_FAILED` (OSError when the port is taken), and ConfigPatchError.
    """
    wanted = options or SandboxOptions()
    if wanted.port:
        socket.create_server(("127.0.0.1", wanted.port)).close()
    check_cache()
    if wanted.installation is not None:
        wanted = replace(wanted, version=wanted.installation.version)
    elif wanted.version == "latest":
        wanted = replace(wanted, version=latest_version(say))
    identity = secrets.token_hex(4)
    state = SandboxState(
        id=identity,
        directory=str(Path(tempfile.gettempdir()) / f"astrometer-sandbox-{identity}"),
        owner_pid=os.getpid(),
        owner_started=psutil.Process().create_time(),
        version=wanted.version,
    )
    state.write()
    with _kept(state):
        try:
            Path(state.directory).mkdir(mode=0o700)
            box = Box(wanted, state, say)
            try:
                box.start()
                yield box
            finally:
                box.close()
        finally:
            reap(state)


@contextmanager
def _kept(state: SandboxState) -> Iterator[None]:
    command = module_command("astrometer.targets.sandbox.keeper", str(state.file))
    with subprocess.Popen(  # noqa: S603
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ):
        yield  # leaving closes the keeper's input and waits for it
