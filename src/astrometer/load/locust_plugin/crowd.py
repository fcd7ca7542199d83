"""The user classes of a locustfile, with their weights -> the scenarios of a run, and what is wrong."""

import json
import logging
from collections import Counter
from collections.abc import Sequence
from typing import Any

from locust.dispatch import UsersDispatcher
from locust.runners import WorkerNode

from astrometer.load.messenger import adapter_sharing
from astrometer.load.messenger.ask_sharing import ask_answers_several
from astrometer.load.messenger.messenger_run import MessengerOfRun
from astrometer.load.option_table import OptionError
from astrometer.load.options import NO_KEY, ChatTransport, Settings
from astrometer.load.workload.replay import workload_share
from astrometer.measure.delivery import OPERATION as PUSH
from astrometer.suggestion import did_you_mean

log = logging.getLogger(__name__)


def describe(environment: Any) -> str:
    """As JSON, for `inspect_locustfile`. `weights`: of all users, and of those whose turns ask the model.

    Whoever asks the model leaves something on the server: a conversation of the messenger, or a session.
    """
    settings = Settings.of(environment.parsed_options)
    classes = [user for user in environment.user_classes if hasattr(user, "scenario")]
    weights = [user.weight for user in classes]
    asking = [user.weight for user in classes if user.asks_model]
    note = without_users(environment, settings)
    return json.dumps(
        {
            "scenarios": sorted({str(user.scenario) for user in classes}),
            "objectives": {item.text: item.scenario for item in settings.objectives},
            "chats": any(map(_chats, classes)),
            "workload_share": workload_share(environment.user_classes),
            "asks_model": sum(asking) / sum(weights) if sum(weights) else 1.0,
            "leaves_sessions": any(
                user.asks_model and not _is_in_messenger(user, settings) for user in classes
            ),
            "leaves_conversations": any(_is_in_messenger(user, settings) for user in classes),
            "needs_key": _needs_key(environment, settings),
            "notes": [note] if note else [],
            "pushes": _pushes(environment),
        }
    )


def check_objectives(environment: Any) -> None:
    """An objective on a scenario that will not run would only be told after the run. Raises OptionError."""
    known = sorted({str(user.scenario) for user in environment.user_classes if hasattr(user, "scenario")})
    for objective in Settings.of(environment.parsed_options).objectives:
        if known and objective.scenario is not None and objective.scenario not in known:
            hint = did_you_mean(objective.scenario, known)
            raise OptionError(f"--slo {objective.text!r}: no scenario {objective.scenario!r}{hint}")


def check_workload(environment: Any) -> None:
    """Somebody has to follow it. Raises OptionError."""
    if Settings.of(environment.parsed_options).workload_file and not workload_share(environment.user_classes):
        raise OptionError(
            "--workload: nobody here chats or writes in a messenger; use chat, im_chat or mixed"
        )


def check_no_key_needed(environment: Any) -> None:
    """Whoever only writes in a messenger asks the API nothing. Raises OptionError."""
    if _needs_key(environment, Settings.of(environment.parsed_options)):
        raise OptionError(NO_KEY)


def check_messenger_address(environment: Any) -> None:
    """People of a messenger need its address, and one that can be used. Raises OptionError."""
    parsed = environment.parsed_options
    settings = Settings.of(parsed)
    if not any(_is_in_messenger(user, settings) for user in environment.user_classes):
        return
    for number in range(max(1, len(settings.messenger))):
        _ = MessengerOfRun(settings, "", number).client
    processes = max(parsed.processes or 0, getattr(parsed, "expect_workers", 0) or 0)
    if parsed.astrometer_check or not adapter_sharing.are_shared(settings.messenger, processes):
        return
    several = adapter_sharing.answers_several(settings.version)
    if several is None:
        several = ask_answers_several(environment.host, settings.tls)
    umos = settings.umos if _pushes(environment) else ()
    if note := adapter_sharing.check(settings.messenger, processes, several=several, umos=umos):
        log.warning("%s", note)


def _pushes(environment: Any) -> bool:
    return any(getattr(user, "first_operation", "") == PUSH for user in environment.user_classes)


def _chats(user: type[Any]) -> bool:
    """Whether `--transport` decides how it asks."""
    return getattr(user, "first_operation", None) == "chat"


def _is_in_messenger(user: type[Any], settings: Settings) -> bool:
    by_chat = settings.transport is ChatTransport.MESSENGER and _chats(user)
    return by_chat or bool(getattr(user, "needs_messenger", False))


def _needs_key(environment: Any, settings: Settings) -> bool:
    """Whether somebody uses the HTTP API, or its WebSocket."""
    return not all(_is_in_messenger(user, settings) for user in environment.user_classes)


def without_users(environment: Any, settings: Settings) -> str | None:
    """A sentence when a mix has so few users that some of its parts get none."""
    classes = environment.user_classes
    users = getattr(environment.parsed_options, "num_users", None) or 0
    if users < 1 or len(classes) < 2 or settings.shape is not None or settings.searches:
        return None
    idle = _idle(classes, users)
    if not idle:
        return None
    enough = next(number for number in range(users + 1, users + 10_000) if not _idle(classes, number))
    names = ", ".join(sorted(getattr(user, "scenario", user.__name__) for user in idle))
    return f"with {users} users nobody runs {names}; --users {enough} runs every part of the mix"


def _idle(classes: Sequence[type[Any]], users: int) -> list[type[Any]]:
    """The classes that get no user, by Locust's own dispatch."""
    dispatcher = UsersDispatcher([WorkerNode("one")], list(classes))
    dispatcher.new_dispatch(users, users)
    counts: Counter[str] = Counter()
    for step in dispatcher:
        counts = Counter(step["one"])
    return [user for user in classes if not counts[user.__name__]]
