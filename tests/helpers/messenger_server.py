"""A real AstrBot with an adapter, and Locust runs of people who write to it."""

import json
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
from locust_runs import Sim

from astrometer.targets.sandbox.box import Box

FAST = ("--prompt-suffix", "[[ttft=0.1 gap=0.01 tokens=10]]", "--stop-timeout", "30")


@dataclass(kw_only=True)
class MessengerServer(Sim):
    box: Box

    @property
    def key(self):
        return self.box.keys["all"]

    def environment(self, key=None):
        return {**super().environment(key), "ASTRBOT_MESSENGER_TOKEN": self.box.messenger.token}

    def people(self, file, *options, out, users, seconds=6, quiet="0s"):
        words = self._words(options, quiet=quiet)
        return self.locust(file, *words, out=out, seconds=seconds, users=users)[0]

    @contextmanager
    def people_beside(self, file, *options, out, users, limit_s=100):
        """A run that goes on until the block ends; its results are then in what this yields."""
        words = self._words((*options, "--astrometer-out", str(out)), quiet="0s")
        command = self.command(file, *words, seconds=limit_s, users=users)
        found = {}
        with (out / "locust.txt").open("w+") as log:
            process = subprocess.Popen(command, env=self.environment(), stdout=log, stderr=log)
            try:
                yield found
                process.terminate()
                process.wait(40)
            finally:
                process.kill()
                process.wait()
            log.seek(0)
            assert (out / "results.json").exists(), log.read()[-3000:]
        found |= json.loads((out / "results.json").read_text())

    def asked(self):
        """How many questions the model was asked: no titles in a messenger."""
        return len(httpx.get(f"{self.box.stub_url}/stub/requests").json())

    def _words(self, options, *, quiet):
        httpx.delete(f"{self.box.stub_url}/stub/requests")
        url = () if "--messenger" in options else ("--messenger", self.box.messenger.url)
        return (*url, "--reply-quiet", quiet, *FAST, *options)
