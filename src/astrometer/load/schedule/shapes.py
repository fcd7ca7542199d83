"""A profile -> Locust's users over time. By `--shape` (or `--stages`), in the web form, or as a class:

    from astrometer.load import StagesShape

    class Evening(StagesShape):
        stages = [(10, "1m"), (50, "2m"), (20, "30s")]

`--shape` wins over a class in the locustfile; without either nothing here does anything.
"""

import signal
import time
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import gevent
from locust import LoadTestShape
from locust.runners import STATE_RUNNING, STATE_SPAWNING

from astrometer.load.locust_plugin import locust_patches
from astrometer.load.schedule.profile import Profile, steps
from astrometer.load.schedule.profile_parser import ProfileError
from astrometer.load.schedule.requested_users import REPORTED_AFTER_S

RUNNING = (STATE_SPAWNING, STATE_RUNNING)
TICK_S = 1.0  # how often Locust asks
NOT_WORTH_IT_S = 0.2  # to change the users before the next stage does
PROFILE_OPTION = "astrometer_profile"  # travels from the master to its workers among the parsed options


class ProfileShape(LoadTestShape):
    """Follows `profile`, a text or a `Profile`."""

    abstract = True
    use_common_options = True  # or the web form would lock its own fields, which count without a shape
    profile: ClassVar[str | Profile | None] = None

    def __init__(self, profile: Profile | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Locust's
        given = profile or type(self).profile
        self.followed = Profile.parse(given) if isinstance(given, str) else given
        self._asked: tuple[int, float] | None = None
        self._asked_at = 0.0
        self._nudges = 0

    def reset_time(self) -> None:
        super().reset_time()  # type: ignore[no-untyped-call]
        self._asked = None

    @property
    def unit(self) -> float | None:
        """Arrivals per second of one Locust user, when `--rate-unit` says so."""
        options = getattr(self.runner and self.runner.environment, "parsed_options", None)
        return getattr(options, "rate_unit", None) or None

    def tick(self) -> tuple[int, float] | None:
        """Called once a second; waits for the border of a stage that comes before the next call."""
        if self.followed is None:
            return None
        t = self._t()
        border = self.followed.boundary(t)
        wanted = self._at(self.followed, t, border)
        if self._asked is not None and t < border < t + TICK_S:
            # Exactly then, and not up to a second later: stages have numbers of their own.
            if border - t > NOT_WORTH_IT_S:
                self._ask_now(wanted)
            while (left_s := border - self._t()) > 0:
                gevent.sleep(left_s)
            t = self._t()
            wanted = self._at(self.followed, t, self.followed.boundary(t))
        if wanted is None:
            return None
        if wanted[0] != self._asked_users:
            self._asked, self._asked_at = wanted, t
        elif self._is_short(wanted[0], t):
            # Locust counts users that are about to stop: after a descent too few may be left.
            self._nudges += 1
            self._asked, self._asked_at = (wanted[0], wanted[1] + self._nudges / 1000), t
        return self._asked

    def _t(self) -> float:
        return float(self.get_run_time())  # type: ignore[no-untyped-call]

    def _at(self, profile: Profile, t: float, border: float) -> tuple[int, float] | None:
        """For the second to come, or what is left of the stage: the level in its middle."""
        middle = t + min(TICK_S, border - t) / 2
        return profile.at(middle, self.unit if profile.is_rate else None)

    def _ask_now(self, wanted: tuple[int, float] | None) -> None:
        if wanted is not None and self.runner is not None and wanted[0] != self._asked_users:
            self._asked, self._asked_at = wanted, self._t()
            locust_patches.set_users_now(self.runner, wanted)

    @property
    def _asked_users(self) -> int | None:
        return self._asked and self._asked[0]

    def _is_short(self, users: int, t: float) -> bool:
        runner = self.runner
        return (
            runner is not None
            and runner.state == STATE_RUNNING
            and t - self._asked_at > REPORTED_AFTER_S
            and runner.user_count < users
        )


class StagesShape(ProfileShape):
    """`stages`: (users, how long) one after the other, or the text `10:1m,50:2m`."""

    abstract = True
    stages: ClassVar[str | Sequence[tuple[float | str, float | str]]] = ()

    def __init__(self) -> None:
        given = type(self).stages
        super().__init__(Profile.parse(given) if isinstance(given, str) else steps(given))


class CustomShape(ProfileShape):
    """What `--shape` or the web form says."""

    abstract = True  # nobody gets it by importing this module

    def follow(self, profile: Profile) -> None:
        self.followed = profile


def install(environment: Any, web_ui: Any, own: Any) -> None:
    """Put `--shape` in force, else the shape `own`; the web form may choose another. Raises ProfileError.

    In the process that leads a test.
    """
    custom = CustomShape()
    custom.runner = environment.runner

    def choose(text: str) -> None:
        if text.strip():
            custom.follow(Profile.parse(text))
        environment.shape_class = custom if text.strip() else own

    choose(environment.parsed_options.shape or "")
    if web_ui is not None:
        _extend_form(environment, web_ui, custom, choose)


def hear_sigterm(environment: Any) -> None:
    """A shape without a web UI: Locust 2.47 listens for SIGTERM only when the shape has ended."""
    if environment.shape_class is not None and environment.parsed_options.headless:
        gevent.signal_handler(signal.SIGTERM, lambda: gevent.spawn(environment.runner.quit))


def begin(environment: Any) -> None:
    """A test starts: the workers shall know its profile."""
    shape = environment.shape_class
    profile = getattr(shape, "followed", None)
    setattr(environment.parsed_options, PROFILE_OPTION, "" if profile is None else str(profile))
    if profile is not None and profile.is_rate:
        # A profile in arrivals per second makes the model open.
        environment.parsed_options.rate_unit = shape.unit or profile.unit


def align(environment: Any, elapsed_s: float) -> None:
    """The test began `elapsed_s` ago: the shape's stages and those of the results have one zero."""
    if environment.shape_class is not None:
        environment.shape_class.start_time = time.perf_counter() - elapsed_s


def profile_of(options: Any) -> Profile | None:
    """What the test that has begun follows; None without a shape, or with one that is not ours."""
    text = getattr(options, PROFILE_OPTION, "")
    return Profile.parse(text) if text else None


def _extend_form(environment: Any, web_ui: Any, custom: CustomShape, choose: Callable[[str], None]) -> None:
    """Take the field Shape of the web form to heart, before Locust decides how to start the test."""
    from flask import jsonify, request  # noqa: PLC0415 (only where there is a web UI)

    name = type(custom).__name__
    if web_ui.userclass_picker_is_active:
        environment.available_shape_classes = {**(environment.available_shape_classes or {}), name: custom}

    def before_request() -> Any:
        if request.method != "POST" or not request.path.endswith("/swarm") or "shape" not in request.form:
            return None
        text = request.form["shape"]
        try:
            _not_midway(environment, text)
            if web_ui.userclass_picker_is_active:
                _agree(text, is_picked=request.form.get("shape_class") == name)
            choose(text)
        except ProfileError as exc:
            return jsonify({"success": False, "message": str(exc), "host": environment.host})
        return None

    web_ui.app.before_request(before_request)


def _not_midway(environment: Any, text: str) -> None:
    """The stages of a test that runs are settled. Raises ProfileError."""
    if environment.runner.state in RUNNING and (text.strip() or environment.shape_class is not None):
        raise ProfileError("a test is running; stop it before a shape begins or changes")


def _agree(text: str, *, is_picked: bool) -> None:
    """The picker and the field. Raises ProfileError."""
    name = CustomShape.__name__
    if is_picked and not text.strip():
        raise ProfileError(f"{name} follows what the field Shape says: fill it in, or pick another class")
    if text.strip() and not is_picked:
        raise ProfileError(f"Shape is filled in, but another shape class is picked: pick {name}")
