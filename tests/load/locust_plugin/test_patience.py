"""How long a master waits for the last reports of its workers."""

import pytest

from astrometer.load.locust_plugin.patience import Patience


@pytest.mark.parametrize(
    ("at_s", "given_up_s"),
    [
        ((), 40),  # nobody reports
        ((5,), 40),  # while others may still finish their answers
        ((38, 45, 52, 61), 71),  # a busy master: each a while after the one before
        ((38, 60), 48),  # too late
    ],
)
def test_a_master_gives_up_when_no_further_worker_has_finished_for_a_while(at_s, given_up_s):
    now = [0.0]
    patience = Patience(40.0, 10.0, lambda: now[0])
    while patience.lasts(sum(t <= now[0] for t in at_s)):
        now[0] += 0.5
    assert now[0] == given_up_s
