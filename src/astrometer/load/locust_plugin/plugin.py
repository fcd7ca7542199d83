"""Locust's start -> astrometer's arguments, and a `Plugin` in this process. Importing this registers both.

`environment.astrometer` is the `Plugin`; it works the same in a single process, a worker and a master, under
`locust` and under `astrometer load`. What a test goes through is in `lifecycle`.
"""

import logging
import os
import sys
from pathlib import Path
from typing import Any

import gevent
from locust import events

from astrometer import exit_codes
from astrometer.load import generator_limits, options
from astrometer.load.capacity import capacity_shape
from astrometer.load.live import live_metrics
from astrometer.load.live.live_state import LiveState
from astrometer.load.locust_plugin import (
    brought_along,
    crowd,
    locust_patches,
    master_gone,
    streams_tab,
    web_form,
)
from astrometer.load.locust_plugin.lifecycle import Lifecycle
from astrometer.load.option_table import OptionError
from astrometer.load.options import Settings
from astrometer.load.run.im_delivery import SinkError, Watch
from astrometer.load.run.role import ProcessRole
from astrometer.load.run.run import Run
from astrometer.load.schedule import shapes
from astrometer.load.schedule.profile_parser import ProfileError
from astrometer.load.server.process_reader import ServerProcessError, find_server
from astrometer.measure.records import record_files
from astrometer.output_files import try_place
from astrometer.tethered import is_tethered
from astrometer.user_error import UserError
from astrometer.wire.receive_stamps import UnknownClock, stamp_clock
from astrometer.wire.tls import NOT_VERIFIED

DRAIN_S = "30"
LOOPBACK = "127.0.0.1"

log = logging.getLogger(__name__)


class Plugin:
    """The astrometer of one Locust process. Raises OptionError or ProfileError for a run that cannot work."""

    def __init__(self, environment: Any, runner: Any, web_ui: Any) -> None:
        self._environment = environment
        self._role = ProcessRole.of(runner)
        self.host = self._find_host()  # the server that the key is for
        settings = self._check()
        needs_keys = self._role.loads or environment.parsed_options.processes
        # Once: a worker's options become its master's when a test starts, its environment does not.
        keys = options.keys_from(environment.parsed_options, os.environ) if needs_keys else {}
        self.lacks_key = bool(needs_keys) and not keys
        self._lifecycle = Lifecycle(environment, {} if self._role is ProcessRole.MASTER else keys, self.host)
        self._lifecycle.listen()
        if web_ui is not None:
            web_form.guard(environment, web_ui, self.host, self._lifecycle.outside_stop.stopped_in_web_ui)
        if self._role.leads:
            locust_patches.keep_statistics_small(environment)
            search = capacity_shape.shape_of(environment, settings)
            shapes.install(environment, web_ui, search or environment.shape_class)
            shapes.hear_sigterm(environment)

    @property
    def run(self) -> Run:
        """The test that goes on, or the last one. Raises RuntimeError before the first."""
        return self._lifecycle.run

    def show_live(self, web_ui: Any) -> None:
        """Metrics, on the process that knows all. Raises OptionError."""
        if not self._role.leads:
            return
        parsed = self._environment.parsed_options
        app = live_metrics.application(LiveState(self._environment, self._lifecycle.current))
        if parsed.astrometer_metrics_port:
            host, port = parsed.astrometer_metrics_host, parsed.astrometer_metrics_port
            try:
                live_metrics.serve(app, host, port)
            except OSError as exc:
                reason = exc.strerror or type(exc).__name__
                raise OptionError(f"--astrometer-metrics-port: {host}:{port}: {reason}") from exc
        if web_ui is not None:
            live_metrics.add_route(web_ui, parsed.web_base_path or "", app)

    def add_tab(self, web_ui: Any) -> None:
        """Of the scenarios that have users."""
        streams_tab.add(web_ui, LiveState(self._environment, self._lifecycle.current))

    def _check(self) -> Settings:
        """Refuse a run that cannot work before it starts."""
        parsed = self._environment.parsed_options
        settings = Settings.of(parsed)
        settings.corpus()
        settings.workload()
        if settings.insecure_skip_verify and self.host.startswith("https:"):
            log.warning("%s: %s", self.host, NOT_VERIFIED)
        if is_tethered():
            brought_along.check_users(self._environment.user_classes, str(parsed.locustfile))
        if self._role.leads:
            brought_along.check_tasks(
                self._environment.user_classes,
                str(parsed.locustfile),
                workload=bool(settings.workload_file),
            )
            brought_along.check_tags(self._environment)
            self._check_machine()
            if settings.out is not None and not parsed.astrometer_check:
                try:
                    try_place(settings.out, "--astrometer-out")
                except UserError as exc:
                    raise OptionError(str(exc)) from exc
        if self._role.leads and settings.records is not None:
            _check_records(settings.records)
        if self._role.leads and settings.server_pid is not None:
            try:
                find_server(settings.server_pid, self.host)
            except ServerProcessError as exc:
                raise OptionError(f"--server-pid: {exc}") from exc
        if settings.im_sink and self._role.leads and not parsed.astrometer_check:
            try:
                Watch(settings.im_sink).check()
            except SinkError as exc:
                raise OptionError(f"--im-sink: {exc}") from exc
        return settings

    def _check_machine(self) -> None:
        """Before a run of a known number of users. Raises OptionError."""
        parsed = self._environment.parsed_options
        is_elsewhere = self._role is ProcessRole.MASTER and not parsed.processes
        is_counted = not (
            parsed.shape or parsed.capacity or self._environment.shape_class or parsed.rate_unit
        )
        users = (parsed.num_users or 1) if is_counted and not is_elsewhere else 1
        try:
            generator_limits.check(
                users, parsed.processes or 1, lambda: gevent.get_hub().threadpool.apply(lambda: None)
            )
        except generator_limits.TooLittle as exc:
            raise OptionError(str(exc)) from exc

    def _find_host(self) -> str:
        environment = self._environment
        own = (user.host for user in environment.user_classes if user.host)
        host = environment.host or next(own, "")
        if not host and self._role.leads:
            raise OptionError(
                "no host: say which server with --host; the API key goes to it and nowhere else"
            )
        return str(host)


def _check_records(file: Path) -> None:
    """Raises OptionError when nothing could be kept there."""
    if (missing := record_files.lacks(file)) is not None:
        raise OptionError(f"--records: {file.name} {missing}")
    try:
        try_place(file.parent, "--records")
    except UserError as exc:
        raise OptionError(str(exc)) from exc


def _add_arguments(parser: Any, **_: Any) -> None:
    options.add_arguments(parser)
    # Locust parses once more when the locustfile is read: then this comes behind its own listeners, which may
    # set weights.
    locust_patches.hear_last(_events.init, _check_crowd)
    # Locust's own default, 0, kills every running chat at the end of the test and on each way down.
    parser.set_defaults(stop_timeout=DRAIN_S)
    # Locust's own default is all interfaces, and whoever reaches the web UI may start a load.
    parser.set_defaults(web_host=LOOPBACK)


def _init(environment: Any, runner: Any, web_ui: Any = None, **_: Any) -> None:
    locust_patches.know_own_sources()
    generator_limits.raise_open_files()
    logging.raiseExceptions = False  # a log on a full disk: a traceback for each line
    # gevent's clock still shows when the hub was made, before seconds of imports: Locust's --run-time would
    # be that much shorter.
    gevent.get_hub().loop.update_now()
    if environment.parsed_options.astrometer_progress and environment.parsed_options.logfile:
        _send_tables_to_the_log()
    try:
        stamp_clock()  # asks this machine once, before anything is measured
        plugin = environment.astrometer = Plugin(environment, runner, web_ui)
        plugin.show_live(web_ui)
    except (OptionError, ProfileError, UnknownClock) as exc:
        sys.stderr.write(f"astrometer: {exc}\n")
        sys.exit(exit_codes.USAGE)
    if ProcessRole.of(runner).leads:
        locust_patches.collect_rarely()
    # Workers later: their master starts once they are connected, and their clocks start with its first word.
    locust_patches.worker_messages.ready.set()


def _check_crowd(environment: Any, runner: Any, **_: Any) -> None:
    """Last of all: what the locustfile made of its users is known."""
    try:
        if environment.astrometer.lacks_key and not environment.parsed_options.astrometer_check:
            crowd.check_no_key_needed(environment)
        if not ProcessRole.of(runner).leads:
            return
        crowd.check_objectives(environment)
        crowd.check_workload(environment)
        crowd.check_messenger_address(environment)
        if environment.parsed_options.astrometer_check:
            sys.stdout.write(f"\n{crowd.describe(environment)}\n")
            sys.exit(exit_codes.PASS)
        Settings.of(environment.parsed_options).check_server_known()
        if environment.web_ui is not None:
            environment.astrometer.add_tab(environment.web_ui)
        if note := crowd.without_users(environment, Settings.of(environment.parsed_options)):
            log.warning("%s", note)
    except OptionError as exc:
        sys.stderr.write(f"astrometer: {exc}\n")
        sys.exit(exit_codes.USAGE)


def _send_tables_to_the_log() -> None:
    """Beside a line of progress there is no room for Locust's tables."""
    table = logging.getLogger("locust.stats_logger")
    table.handlers = [
        handler for handler in logging.getLogger().handlers if isinstance(handler, logging.FileHandler)
    ]


_events: Any = events  # Locust's hooks are not typed
_events.init_command_line_parser.add_listener(_add_arguments)
_events.init.add_listener(_init)
locust_patches.use_steady_time()
locust_patches.worker_messages.install()
locust_patches.time_pauses()
locust_patches.let_users_choose()
locust_patches.stop_users_once()
master_gone.watch_connections()
brought_along.name_conflicting_arguments()
