"""`messenger`: a simulator with one."""

from collections.abc import Iterator

import pytest
from messenger_bench import MessengerBench, messenger_bench


@pytest.fixture
def messenger() -> Iterator[MessengerBench]:
    with messenger_bench() as bench:
        yield bench
