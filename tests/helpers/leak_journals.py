"""Journals of leaks in one folder, and what the death of their process does to them."""

import pytest

from astrometer.probing.cleanup.leak_journal import LeakJournal


@pytest.fixture
def journal(tmp_path):
    """Makes journals in one folder, as several processes would."""
    made = []

    def make(**more) -> LeakJournal:
        made.append(LeakJournal(tmp_path, **more))
        return made[-1]

    yield make
    for one in made:
        one.close()


def die(journal: LeakJournal) -> None:
    """What the end of a process does: the lock is gone, the file stays."""
    assert journal._file is not None
    journal._file.close()
    journal._file = journal._path = None
