"""What Locust draws while a user of ours acts (task, transition, pause) -> from that user's own generator.

Locust's modules draw from Python's common generator, which is never the same twice and which nobody may seed.
"""

import random
from importlib import import_module
from typing import Any
from weakref import WeakKeyDictionary

import gevent

_draws: WeakKeyDictionary[Any, random.Random] = WeakKeyDictionary()  # of the users that act in a greenlet


class OfWhoActs:
    """Stands for the module `random`; in a greenlet of none of our users it is that module."""

    def __getattr__(self, name: str) -> Any:
        return getattr(_draws.get(gevent.getcurrent(), random), name)


def acts_in(greenlet: Any, draws: random.Random) -> None:
    """The user with this generator."""
    _draws[greenlet] = draws


def install(*modules: str) -> None:
    """Let these draw from whoever acts."""
    for name in modules:
        module: Any = import_module(name)  # `from locust.user import task` is the decorator
        module.random = OfWhoActs()
