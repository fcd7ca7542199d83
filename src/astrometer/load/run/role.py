"""Locust's runner -> what its process has to do with a test."""

from enum import Enum
from typing import Any


class ProcessRole(Enum):
    """The only process, the master of several, or a worker."""

    LOCAL = "local"
    MASTER = "master"
    WORKER = "worker"

    @classmethod
    def of(cls, runner: Any) -> "ProcessRole":
        from locust.runners import MasterRunner, WorkerRunner  # noqa: PLC0415 (it patches the process)

        if isinstance(runner, MasterRunner):
            return cls.MASTER
        return cls.WORKER if isinstance(runner, WorkerRunner) else cls.LOCAL

    @property
    def loads(self) -> bool:
        """Its users make requests."""
        return self is not ProcessRole.MASTER

    @property
    def leads(self) -> bool:
        """It starts and ends the test, and knows what all processes measured."""
        return self is not ProcessRole.WORKER
