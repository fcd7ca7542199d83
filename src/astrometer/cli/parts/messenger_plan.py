"""What a person, the server and the configuration say of an adapter -> the plan, and where its token is."""

import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import click

from astrometer.cli.parts.messenger_server import MessengerServer
from astrometer.config.secret import Secret
from astrometer.probing.messenger_setup.adapter_plan import (
    DEFAULT_LISTEN,
    DEFAULT_PORT,
    AdapterPlan,
    url_of,
)
from astrometer.probing.messenger_setup.adapter_state import AdapterState, FoundAdapter
from astrometer.probing.messenger_setup.setup_words import TokenPlace
from astrometer.probing.messenger_setup.token_file import DEFAULT_NAME, TokenFile, new_token

EVERYWHERE = ("0.0.0.0", "::", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedToken:
    """`unwritten`: the file that is to be made for it."""

    token: Secret
    place: TokenPlace
    unwritten: TokenFile | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanOptions:
    """What was said on the command line; None: nothing."""

    server: MessengerServer
    port: int | None
    listen: str | None
    url: str | None
    token_file: Path | None
    token_env: str | None

    def plan(self, state: AdapterState) -> tuple[AdapterPlan, PlannedToken]:
        """Raises UserError and click.UsageError, before anything is changed."""
        adapter = state.adapter
        self._must_agree(adapter)
        planned = self._token(adapter)
        plan = AdapterPlan(
            adapter_id=state.adapter_id,
            port=self.port_of(adapter),
            listen=self.listen_of(adapter),
            url=self.url_of(adapter),
            token=planned.token,
        )
        plan.address()
        return plan, planned

    def port_of(self, adapter: FoundAdapter | None) -> int:
        if self.port is not None:
            return self.port
        return (adapter and adapter.port) or DEFAULT_PORT

    def listen_of(self, adapter: FoundAdapter | None) -> str:
        return self.listen or (adapter and adapter.listen) or DEFAULT_LISTEN

    def url_of(self, adapter: FoundAdapter | None) -> str:
        """As it was said; else as the configuration has it; else where AstrBot listens."""
        if self.url is not None:
            return self.url
        known = self.server.target.messenger
        if known is not None and self.port is None and self.listen is None:
            return known.url
        listen = self.listen_of(adapter)
        host = (urlsplit(self.server.target.url).hostname or listen) if listen in EVERYWHERE else listen
        return url_of(host, self.port_of(adapter))

    def _must_agree(self, adapter: FoundAdapter | None) -> None:
        """With an adapter that is there: its clients would lose it."""
        if adapter is None:
            return
        for option, said, has in (
            ("--port", self.port, adapter.port),
            ("--listen", self.listen, adapter.listen),
        ):
            if said is not None and said != has:
                raise click.UsageError(
                    f"{option}: the adapter {adapter.adapter_id} is there already, with {has}. To change it, "
                    "remove it first"
                )

    def _token(self, adapter: FoundAdapter | None) -> PlannedToken:
        known = self.server.target.messenger
        if self.token_env is not None:
            text = os.environ.get(self.token_env, "").strip()
            if not text:
                raise click.UsageError(f"--token-env: the variable {self.token_env} is not set")
            planned = PlannedToken(token=Secret(text), place=TokenPlace(env=self.token_env))
            return self._fitting(planned, adapter, f"the variable {self.token_env}")
        if self.token_file is None and known is not None and known.token.reveal():
            planned = PlannedToken(token=known.token, place=TokenPlace(known=True))
            return self._fitting(planned, adapter, "the configuration")
        file = TokenFile(self.token_file or self.server.folder / DEFAULT_NAME)
        place = TokenPlace(file=self._as_configured(file.path))
        there = file.read()
        if there is not None:
            return self._fitting(PlannedToken(token=there, place=place), adapter, str(file.path))
        token = new_token() if adapter is None else adapter.token
        return self._fitting(PlannedToken(token=token, place=place, unwritten=file), adapter, "")

    def _fitting(self, planned: PlannedToken, adapter: FoundAdapter | None, where: str) -> PlannedToken:
        if adapter is None:
            return planned
        if not adapter.token.reveal():
            raise click.UsageError(
                f"the adapter {adapter.adapter_id} has lost its token, so anybody can be its client: "
                "remove it, and make it anew"
            )
        if planned.token != adapter.token:
            raise click.UsageError(
                f"{where} holds another token than the adapter {adapter.adapter_id} has. Name a new "
                "file with --token-file: the adapter's is written there"
            )
        return planned

    def _as_configured(self, path: Path) -> str:
        """Relative to the configuration, as it reads it; else a path that is right everywhere."""
        if self.server.config_file is None:
            return str(path.absolute())
        try:
            return str(path.absolute().relative_to(self.server.folder.absolute()))
        except ValueError:
            return str(path.absolute())
