"""`[[notify]]` of the config -> receivers."""

import re
from collections.abc import Callable, Collection

from astrometer.config.notify_settings import (
    DEFAULT_TEMPLATE,
    FIELDS,
    PLACEHOLDER,
    Receiver,
    ReceiverKind,
    Severity,
)
from astrometer.config.secret import Secret
from astrometer.config.tables import NotifyTable, SecretUrlTable
from astrometer.suggestion import did_you_mean

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
Read = Callable[[SecretUrlTable, str], Secret]


def build(tables: list[NotifyTable], targets: Collection[str], read: Read) -> tuple[Receiver, ...]:
    """`read` gets what a table names, and the place for its errors. Raises ValueError with the place."""
    receivers = [_receiver(f"notify[{index}]", table, targets, read) for index, table in enumerate(tables)]
    names = [receiver.name for receiver in receivers]
    for index, name in enumerate(names):
        if name in names[:index]:
            raise ValueError(f"notify[{index}].name: {name!r} is taken; give each receiver its own name")
    return tuple(receivers)


def _receiver(place: str, table: NotifyTable, targets: Collection[str], read: Read) -> Receiver:
    if not _NAME.fullmatch(table.name):
        raise ValueError(f"{place}.name: up to 64 letters, digits and -_. expected")
    given = [(kind, address) for kind in ReceiverKind if (address := getattr(table, kind)) is not None]
    if len(given) != 1:
        raise ValueError(f"{place}: say one of webhook, kuma, apprise")
    for wanted in table.targets or ():
        if wanted not in targets:
            raise ValueError(f"{place}.targets: no target {wanted!r}{did_you_mean(wanted, targets)}")
    kind, address = given[0]
    if table.template is not None and kind is not ReceiverKind.WEBHOOK:
        raise ValueError(f"{place}.template: only a webhook has a template")
    template = DEFAULT_TEMPLATE if table.template is None else table.template
    for unknown in set(PLACEHOLDER.findall(template)) - {*FIELDS}:
        hint = did_you_mean(unknown, FIELDS) or f" (there are {', '.join(FIELDS)})"
        raise ValueError(f"{place}.template: no {{{unknown}}}{hint}")
    return Receiver(
        name=table.name,
        kind=kind,
        url=read(address, f"{place}.{kind}"),
        template=template,
        min_severity=Severity(table.min_severity),
        targets=None if table.targets is None else tuple(table.targets),
        after_s=table.after,
    )
