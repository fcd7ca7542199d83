"""What a Locust user brings along (locust.conf, LOCUST_ variables, a locustfile's own arguments) -> refusals.

It works, or it is named with its cure before the run begins.
"""

import argparse
import sys
from collections.abc import Iterable
from typing import Any, NoReturn

from locust import MarkovTaskSet, User

from astrometer.load.locust_plugin import locust_patches
from astrometer.load.option_table import OptionError

# Of files and of the environment: (name, where it was said), and name -> where.
left_out: set[tuple[str, str]] = set()
kept: dict[str, str] = {}


def name_conflicting_arguments() -> None:
    """A locustfile that adds an argument which Locust or astrometer has would end in a traceback."""

    def refuse(_self: Any, _action: Any, conflicting: Iterable[tuple[str, Any]]) -> NoReturn:
        names = ", ".join(name for name, _ in conflicting)
        sys.stderr.write(
            f"astrometer: the locustfile adds {names}, which Locust or astrometer has already: give yours "
            "another name (`locust --help` and `astrometer load --list-arguments` list what is taken)\n"
        )
        sys.exit(2)

    parsers: Any = argparse._ActionsContainer  # noqa: SLF001 (argument groups are such containers, too)
    parsers._handle_conflict_error = refuse  # noqa: SLF001


def check_users(classes: list[type[User]], file: str) -> None:
    """For astrometer's own commands. Raises OptionError."""
    if not any(hasattr(user, "scenario") for user in classes):  # all of ours have one
        raise OptionError(
            f"{file} has no user of astrometer (ChatUser, UploadUser, ImUser, ReadsUser of astrometer.load), "
            "so there is nothing that astrometer could measure; plain `locust` runs it"
        )


def check_tasks(classes: Iterable[type[User]], file: str, *, workload: bool) -> None:
    """Somebody with nothing to do would end a run without an answer. Raises OptionError.

    `workload`: whoever follows it does that.
    """
    for user in classes:
        if workload and getattr(user, "follows_workload", False):
            continue
        if (idle := _without_tasks(user)) is not None:
            raise OptionError(
                f"{file}: class {idle} has no tasks: mark what it does with @task, or if it is for others "
                "to derive from, set abstract = True"
            )


def _without_tasks(kind: Any) -> str | None:
    """The first class without a task: `kind`, or one of the TaskSets that are its tasks."""
    if issubclass(kind, MarkovTaskSet) or not kind.run.__module__.startswith("locust."):
        return None  # Locust checks the one, and the other chooses by itself
    if not kind.tasks:
        return str(kind.__qualname__)
    inner = (each for each in dict.fromkeys(kind.tasks) if isinstance(each, type))
    return next((idle for each in inner if (idle := _without_tasks(each)) is not None), None)


def check_tags(environment: Any) -> None:
    """Tags that leave a user without a task. Raises OptionError."""
    options = environment.parsed_options
    chosen = {name: getattr(options, name.replace("-", "_")) for name in ("tags", "exclude-tags")}
    if not any(chosen.values()):
        return
    had = {user for user in environment.user_classes if user.tasks}
    locust_patches.filter_tasks_by_tags(environment)
    idle = sorted(user.__name__ for user in had if not user.tasks)
    if idle:
        said = " and ".join(
            f"{name} {' '.join(tags)} ({kept.get(name, 'arguments')})"
            for name, tags in chosen.items()
            if tags
        )
        raise OptionError(f"{said}: leaves {', '.join(idle)} without a task; there would be nothing to do")
