"""Who writes in a run's messenger: each user one person, each chat of `--transport messenger` another."""

import pytest

from astrometer.load.messenger.messenger_run import MessengerOfRun
from astrometer.load.options import Settings
from astrometer.load.run.run_names import USERS_PER_WORKER

WORKERS = (0, 1, 30)


def people_of(worker):
    return MessengerOfRun(Settings(messenger="ws://bot:1/ws"), "run", worker)


def test_strangers_are_nobody_else_of_the_run_whatever_the_process():
    numbers = [number for worker in WORKERS for number in strangers(worker, 1000)]
    users = range(1, (max(WORKERS) + 1) * USERS_PER_WORKER)
    assert len(set(numbers)) == len(numbers)
    assert not set(numbers) & set(users)


def strangers(worker, count):
    people = people_of(worker)
    return [people.new_number() for _ in range(count)]


@pytest.mark.parametrize("number", [1, 10_000_001, 99_999_999])
def test_an_id_has_at_most_the_digits_that_were_tried_on_real_servers(number):
    person = people_of(0).person(number)
    assert 0 < person.user_id < 10**14
    assert person == people_of(0).person(number)
    assert person != MessengerOfRun(Settings(messenger="ws://bot:1/ws"), "another run", 0).person(number)
