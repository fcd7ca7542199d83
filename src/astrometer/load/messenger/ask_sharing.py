"""A server -> whether it answers when an adapter has two clients, from a load process.

Apart from `adapter_sharing`, which the command line imports as well: this client brings gevent with it.
"""

from contextlib import closing

from astrometer.api.call_exchange import CallExchange
from astrometer.api.server_versions import QUESTIONS, is_before_4_26, versions_in
from astrometer.load.messenger.adapter_sharing import answers_several
from astrometer.load.transport.load_client import Client, Request
from astrometer.wire.tls import TlsSettings

TIMEOUT_S = 5.0
MAX_BYTES = 100_000


def ask_answers_several(host: str, tls: TlsSettings) -> bool | None:
    """As its version says. Up to 4.25 it wants a key for that, which tells as much. None: not known."""
    with closing(Client(host, lambda _scope: None, tls=tls)) as client:
        for endpoint in QUESTIONS:
            exchange = CallExchange(timeout_s=TIMEOUT_S, max_bytes=MAX_BYTES)
            client.run(Request(method=endpoint.method, path=endpoint.path, scope=None), exchange)
            answer = exchange.result()
            if (versions := versions_in(answer)) is not None:
                return answers_several(versions.running)
            if answer.status is None:
                return None
    return False if is_before_4_26(answer) else None
