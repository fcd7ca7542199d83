"""Who a run chats as: never two users of one name at a time, and no more names than needed."""

from types import SimpleNamespace

import pytest

from astrometer.load.run.run_names import USERS_PER_WORKER, UserNames


@pytest.fixture
def names():
    return UserNames("ab12cd", SimpleNamespace(user_prefix="astrometer", username=None), 1)


def test_a_name_is_used_again_only_when_its_user_has_left(names):
    first, second = names.take(), names.take()
    assert names.username(first) == f"astrometer-ab12cd-{USERS_PER_WORKER + 1}"
    names.give_back(first)
    assert (names.take(), names.take()) == (first, second + 1)
    assert names.used() == (3, USERS_PER_WORKER)


def test_every_simulated_user_has_a_number_of_its_own_whatever_its_name(names):
    assert [names.next_user() for _ in range(3)] == [USERS_PER_WORKER + n for n in (1, 2, 3)]
    assert (names.users, names.used()[0]) == (3, 0)


def test_the_names_of_all_processes_are_known(names):
    names.take()
    names.note("worker", [4, 0], 9, 3)
    assert sorted(names.all().users) == [(1, USERS_PER_WORKER), (4, 0)]
    assert names.all_users == 9


def test_sessions_are_counted_once_whoever_named_them(names):
    names.note_session("made by the server", is_new=True)
    names.note_session("mine", is_new=False)
    names.note_session("mine", is_new=False)
    assert names.all().sessions == 2
    names.note("worker", [4, 0], 9, 3)
    names.note("worker", [4, 0], 9, 5)  # all that it has made so far
    assert names.all().sessions == 7


def test_one_name_for_all_is_that_of_all():
    names = UserNames("ab12cd", SimpleNamespace(user_prefix="astrometer", username="api_key:7"), 0)
    assert {names.username(names.take()) for _ in range(3)} == {"api_key:7"}
    assert names.session_id().startswith("astrometer-ab12cd-")
