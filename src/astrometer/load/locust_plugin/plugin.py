"""Locust's events -> a `Run` per test. Importing this registers astrometer's arguments and listeners.

`environment.astrometer` is the `Plugin` of a process; it works the same in a single process, a worker and a
master, under `locust` and under `astrometer load`.
"""

import json
import logging
import math
import os
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import gevent
from gevent.event import Event
from locust import events
from locust.runners import LocalRunner, MasterRunner, WorkerRunner

from astrometer import exit_codes
from astrometer.api.endpoints import Scope
from astrometer.config.settings import Secret
from astrometer.load import generator_limits, options
from astrometer.load.im_delivery import SinkError, Watch
from astrometer.load.live import live_metrics
from astrometer.load.live.live_state import LiveState
from astrometer.load.live.progress import Live
from astrometer.load.locust_plugin import (
    brought_along,
    capacity_shape,
    crowd,
    ending,
    endless,
    locust_patches,
    master_gone,
    rate_sync,
    streams_tab,
    web_form,
)
from astrometer.load.locust_plugin.distributed import MasterSide, WorkerSide, hold_back_until
from astrometer.load.locust_plugin.early_end import EarlyEnd, hear_signals
from astrometer.load.locust_plugin.early_stop import Guard
from astrometer.load.locust_plugin.once import Once
from astrometer.load.option_table import OptionError
from astrometer.load.options import Settings
from astrometer.load.run import ELAPSED_OPTION, RUN_ID_OPTION, Run, new_run_id
from astrometer.load.schedule import shapes
from astrometer.load.schedule.profile_parser import ProfileError
from astrometer.measure.results import document
from astrometer.measure.slo.run_verdict import Stop
from astrometer.output_files import NoPlaceError, reason, try_place, write_somewhere
from astrometer.tethered import is_tethered, tell

DRAIN_S = "30"
log = logging.getLogger(__name__)
LOOPBACK = "127.0.0.1"


class Plugin:
    """The astrometer of one Locust process."""

    def __init__(self, environment: Any, runner: Any) -> None:
        self._environment = environment
        self._runner = runner
        self._run: Run | None = None
        self._keys: dict[Scope, Secret] = {}
        self._host = ""
        self._live: Live | None = None
        self._guard: Guard | None = None
        self.early_end = EarlyEnd()
        self._drain = self._conclude = Once(lambda: None)
        self._side: MasterSide | WorkerSide | None = None
        if isinstance(runner, MasterRunner):
            self._side = MasterSide(runner, lambda: self._run)
        elif isinstance(runner, WorkerRunner):
            self._side = WorkerSide(runner, lambda: self._run)
        self._rates = rate_sync.of(environment, runner, self.current)
        # Only now, after the runner added its own: `quitting` is fired in reverse order, so ours comes first.
        environment.events.test_start.add_listener(self._on_start)
        environment.events.test_stopping.add_listener(self._on_stopping)
        environment.events.test_stop.add_listener(self._on_stop)
        environment.events.quitting.add_listener(self._on_quitting)

    @property
    def run(self) -> Run:
        if self._run is None:
            raise RuntimeError("no test has begun")
        return self._run

    def current(self) -> Run | None:
        """The test that goes on, or the last one; None before the first."""
        return self._run

    def check(self) -> None:
        """Refuse a run that cannot work before it starts. Raises OptionError."""
        parsed = self._environment.parsed_options
        settings = Settings.of(parsed)
        settings.corpus()
        if is_tethered():
            brought_along.check_users(self._environment.user_classes, str(parsed.locustfile))
        if not isinstance(self._runner, WorkerRunner):
            brought_along.check_tags(self._environment)
            self._check_machine()
            if settings.out is not None and not parsed.astrometer_check:
                try:
                    try_place(settings.out, "--astrometer-out")
                except NoPlaceError as exc:
                    raise OptionError(str(exc)) from exc
        if settings.im_sink and not isinstance(self._runner, WorkerRunner) and not parsed.astrometer_check:
            try:
                Watch(settings.im_sink).check()
            except SinkError as exc:
                raise OptionError(f"--im-sink: {exc}") from exc
        if not isinstance(self._runner, MasterRunner) or parsed.processes:
            # Once: a worker's options become its master's when a test starts, its environment does not.
            self._keys = options.keys_from(parsed, os.environ)
        self._host = self._find_host()

    def _check_machine(self) -> None:
        """Before a run of a known number of users. Raises OptionError."""
        parsed = self._environment.parsed_options
        is_elsewhere = isinstance(self._runner, MasterRunner) and not parsed.processes
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

    @property
    def host(self) -> str:
        """The server that the key is for."""
        return self._host

    def _find_host(self) -> str:
        environment = self._environment
        own = (user.host for user in environment.user_classes if user.host)
        host = environment.host or next(own, "")
        if not host and not isinstance(self._runner, WorkerRunner):
            raise OptionError(
                "no host: say which server with --host; the API key goes to it and nowhere else"
            )
        return str(host)

    def _on_start(self, environment: Any, **_: Any) -> None:
        self._run = None
        self.early_end.begin()
        try:
            self._begin(environment)
        except Exception as exc:  # Locust logs it and goes on
            if isinstance(self._side, WorkerSide):
                self._side.absent(str(exc) or type(exc).__name__)
            raise

    def _begin(self, environment: Any) -> None:
        parsed = environment.parsed_options
        if self._host:
            environment.host = self._host
        if not isinstance(self._runner, WorkerRunner):
            setattr(parsed, RUN_ID_OPTION, new_run_id())
            setattr(parsed, ELAPSED_OPTION, 0.0)
        shapes.begin(environment)
        capacity_shape.begin(environment)
        locust_patches.collect_rarely()
        is_master = isinstance(self._runner, MasterRunner)
        keys = {} if is_master else self._keys
        self._run = Run(environment, Settings.of(parsed), keys, getattr(self._runner, "worker_index", 0))
        self._drain = Once(partial(self._drain_run, self._run))
        self._conclude = Once(partial(self._conclude_run, self._run))
        shapes.align(environment, self._run.elapsed_s)
        capacity_shape.attach(environment, self._run)
        if not is_master:
            self._run.health.start(self._run.settings.warmup_s - self._run.elapsed_s)
            if self._run.open_model is not None:
                self._run.open_model.start()
        self._rates.begin()
        if not isinstance(self._runner, WorkerRunner):
            self._run.demand.start()
            self._run.watch()
            self._run.write_journal(ended=False)
            self._guard = Guard(self._run, self._end_early)
            self._guard.start()
        if self._side is not None:
            self._side.begin()
        if parsed.astrometer_progress and not isinstance(self._runner, WorkerRunner):
            self._live = Live(self._run, lambda: self._runner.user_count)
            self._live.start()

    def _end_early(self, stop: Stop) -> None:
        """As at the end of the run time: with a web UI the test stops, without one Locust ends."""
        self.run.stop = stop
        has_ui = self._environment.web_ui is not None
        gevent.spawn(self._runner.stop if has_ui else self._runner.quit)

    def _on_stopping(self, **_: Any) -> None:
        if self._run is None:
            return
        if self._guard is not None:
            self._guard.stop()
        self._note_early_end(self._run)
        self._run.no_more_arrivals()
        if not isinstance(self._side, WorkerSide):
            self._drain()

    def _note_early_end(self, run: Run) -> None:
        if isinstance(self._side, WorkerSide) or run.is_over or run.stop is not None:
            return
        run.stop = self.early_end.stop_of(run.elapsed_s, self._planned_s(run))

    def _planned_s(self, run: Run) -> float | None:
        """How long the test was to be. None: until somebody ends it."""
        if run.search is not None:
            return None if capacity_shape.has_answer(self._environment) else math.inf
        lengths = [float(seconds) for seconds in (self._environment.parsed_options.run_time,) if seconds]
        if run.profile is not None:
            lengths.append(run.profile.duration_s)
        return min(lengths, default=None)

    def _drain_run(self, run: Run) -> None:
        """Before Locust stops anything: who finds the test stopped ends the process at once."""
        if isinstance(self._side, MasterSide):
            # Locust's master waits half a second for the last reports; a stream may take longer to end.
            run.lost_workers = self._side.drain(self._environment.stop_timeout)
            run.lost_from_s = self._side.lost_from_s
        else:
            run.drain()

    def _on_stop(self, **_: Any) -> None:
        if not isinstance(self._side, WorkerSide):
            self._conclude()

    def _conclude_run(self, run: Run) -> None:
        """All users are gone, every exchange has its outcome."""
        if isinstance(self._runner, LocalRunner):
            run.health.stop()
            run.note_health("local", run.health.take())
        if self._live is not None:
            self._live.stop()
            self._live = None
        run.write_journal(ended=True)
        run.conclude_delivery()
        measured = run.results()
        if run.settings.out is not None:
            _keep(run.settings.out, measured)
        ending.announce(measured)
        code = ending.exit_code(measured)
        if code is not None:
            self._environment.process_exit_code = code

    def _on_quitting(self, **_: Any) -> None:
        if isinstance(self._side, WorkerSide):
            self._side.finish()
        elif self._run is not None:
            if isinstance(self._runner, LocalRunner):
                self._runner.stop()
            else:  # its workers must not stop yet: they would not hear the `quit` that follows
                self._runner.stop(send_stop_to_client=False)
            # Whoever stopped it before may still be about to.
            self._drain()
            self._conclude()


def _keep(out: Path, measured: dict[str, Any]) -> None:
    """Where the results belong; else they are told to the parent, which keeps them; else another place."""
    try:
        document.write(out, measured)
    except OSError as exc:
        log.error("%s: the results cannot be written (%s)", out, reason(exc))  # noqa: TRY400 (it is all)
        if not tell(json.dumps(measured, allow_nan=False).encode() + b"\n"):
            write_somewhere(out, lambda folder: (document.write(folder, measured), None)[1], _say)


def _say(text: str) -> None:
    with suppress(OSError):
        sys.stderr.write(f"astrometer: {text}\n")
    log.error("%s", text)


def _show_live(environment: Any, web_ui: Any, plugin: Plugin) -> None:
    """Metrics and a tab of their own, on the process that knows all. Raises OptionError."""
    if isinstance(environment.runner, WorkerRunner):
        return
    parsed = environment.parsed_options
    state = LiveState(environment, plugin.current)
    app = live_metrics.application(state)
    if parsed.astrometer_metrics_port:
        host, port = parsed.astrometer_metrics_host, parsed.astrometer_metrics_port
        try:
            live_metrics.serve(app, host, port)
        except OSError as exc:
            reason = exc.strerror or type(exc).__name__
            raise OptionError(f"--astrometer-metrics-port: {host}:{port}: {reason}") from exc
    if web_ui is not None:
        live_metrics.add_route(web_ui, parsed.web_base_path or "", app)
        streams_tab.add(web_ui, state)


def _add_arguments(parser: Any, **_: Any) -> None:
    options.add_arguments(parser)
    # Locust parses once more when the locustfile is read: then this comes behind its own listeners, which may
    # set weights.
    if _check_crowd in _events.init._handlers:  # noqa: SLF001
        _events.init.remove_listener(_check_crowd)
    _events.init.add_listener(_check_crowd)
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
    plugin = Plugin(environment, runner)
    if environment.parsed_options.astrometer_progress and environment.parsed_options.logfile:
        # Beside a line of progress there is no room for Locust's tables; they go where its log goes.
        table = logging.getLogger("locust.stats_logger")
        table.handlers = [
            handler for handler in logging.getLogger().handlers if isinstance(handler, logging.FileHandler)
        ]
    environment.astrometer = plugin
    if not isinstance(runner, WorkerRunner):
        hear_signals(plugin.early_end.interrupted)
        endless.keep_pruned(environment)
    try:
        plugin.check()
        if web_ui is not None:
            web_form.guard(environment, web_ui, plugin.host, plugin.early_end.stopped_in_web_ui)
        capacity_shape.install(environment)
        shapes.install(environment, web_ui)
        shapes.hear_sigterm(environment)
        _show_live(environment, web_ui, plugin)
    except (OptionError, ProfileError) as exc:
        sys.stderr.write(f"astrometer: {exc}\n")
        sys.exit(exit_codes.USAGE)
    _is_ready.set()


def _check_crowd(environment: Any, runner: Any, **_: Any) -> None:
    """Last of all: what the locustfile made of its users is known."""
    if isinstance(runner, WorkerRunner):
        return
    try:
        crowd.check_objectives(environment)
        if environment.parsed_options.astrometer_check:
            sys.stdout.write(f"\n{crowd.describe(environment)}\n")
            sys.exit(exit_codes.PASS)
        if note := crowd.without_users(environment, Settings.of(environment.parsed_options)):
            log.warning("%s", note)
    except OptionError as exc:
        sys.stderr.write(f"astrometer: {exc}\n")
        sys.exit(exit_codes.USAGE)


_is_ready = Event()
_events: Any = events  # Locust's hooks are not typed
_events.init_command_line_parser.add_listener(_add_arguments)
_events.init.add_listener(_init)
hold_back_until(_is_ready)
master_gone.watch_connections()
brought_along.name_conflicting_arguments()
