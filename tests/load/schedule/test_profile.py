"""Profiles of load: their text, and their level at any time."""

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astrometer.load.schedule.profile import Profile, steps
from astrometer.load.schedule.profile_parser import EXAMPLES, Kind, ProfileError

RELAXED = settings(max_examples=60)
USERS = st.integers(1, 100_000).map(float)
RATES = st.floats(0.001, 5000, allow_nan=False)
TIMES = st.one_of(st.integers(1, 7200).map(float), st.floats(1, 3600))


@st.composite
def profiles(draw):
    kind = draw(st.sampled_from(Kind))
    is_rate = draw(st.booleans())
    level = RATES if is_rate else USERS
    count = {Kind.CONSTANT: 1, Kind.SOAK: 1}.get(kind, 2)
    if kind is Kind.STEPS:
        count = draw(st.integers(1, 6))
    levels = tuple(draw(st.lists(level, min_size=count, max_size=count)))
    first = draw(TIMES)
    times_s = {
        Kind.CONSTANT: (first,),
        Kind.RAMP: (first,),
        Kind.STEPS: tuple(draw(st.lists(TIMES, min_size=count, max_size=count))),
        Kind.SPIKE: (first, first + 2 + draw(TIMES)),
        Kind.SOAK: (first, first + 1 + draw(TIMES)) if draw(st.booleans()) else (10 + first,),
        Kind.SINE: (first, first * draw(st.integers(1, 50))),
    }[kind]
    return Profile(kind=kind, levels=levels, times_s=times_s, is_rate=is_rate)


@RELAXED
@given(profiles())
def test_the_text_of_a_profile_is_that_profile(profile):
    assert Profile.parse(str(profile)) == profile


@RELAXED
@given(profiles())
def test_the_level_stays_between_0_and_the_peak_until_the_end(profile):
    for percent in range(100):
        level = profile.level(profile.duration_s * percent / 100)
        assert 0 <= level <= profile.peak * (1 + 1e-9)
    assert profile.level(profile.duration_s + 1e-3) is None
    assert profile.at(profile.duration_s + 1e-3) is None


@RELAXED
@given(profiles())
def test_stages_follow_each_other_without_a_gap_and_their_names_differ(profile):
    stages = profile.stages
    assert stages[0].start_s == 0
    assert math.isclose(stages[-1].end_s, profile.duration_s)
    assert all(before.end_s == after.start_s for before, after in itertools.pairwise(stages))
    assert len({stage.name for stage in stages}) == len(stages)
    assert max(stage.peak for stage in stages) == profile.peak


@RELAXED
@given(profiles(), st.floats(0, 1))
def test_the_next_boundary_is_the_end_of_the_stage(profile, share):
    t = share * profile.duration_s
    ends = [stage.end_s for stage in profile.stages if stage.start_s <= t < stage.end_s]
    assert profile.boundary(t) == (ends[0] if ends else t)


@RELAXED
@given(profiles())
def test_spawning_reaches_any_level_within_a_second(profile):
    users, spawn_rate = profile.at(0)
    for step in range(1, 200):
        asked = profile.at(profile.duration_s * step / 200)
        if profile.duration_s <= 200 and asked is not None:
            assert abs(asked[0] - users) <= math.ceil(profile.duration_s / 200) * spawn_rate + 1
            users = asked[0]
        assert spawn_rate >= 1


@RELAXED
@given(profiles())
def test_the_area_is_what_summing_the_levels_gives(profile):
    summed = 0.0
    for stage in profile.stages:
        step_s = (stage.end_s - stage.start_s) / 100
        summed += sum(profile.level(stage.start_s + (n + 0.5) * step_s) for n in range(100)) * step_s
    assert profile.area(profile.duration_s) == pytest.approx(summed)
    assert profile.area(0) == 0
    assert profile.area(profile.duration_s * 2) == pytest.approx(profile.area(profile.duration_s))


@pytest.mark.parametrize("levels", [("5/s",), ("5/s", "10/s"), ("0.5/s", "12/s"), ("3/s", "7/s", "20/s")])
def test_whole_users_stand_for_the_levels_of_a_rate_exactly(levels):
    profile = steps([(level, "1m") for level in levels])
    assert profile.is_rate
    for number, level in enumerate(profile.levels):
        users, _ = profile.at(60 * number + 1)
        assert users * profile.unit == pytest.approx(level)
    assert 100 <= profile.peak / profile.unit <= 1000


def test_levels_without_a_useful_common_divisor_are_met_within_a_percent():
    profile = Profile.parse("0.001/s:1m,977.003/s:1m")
    users, _ = profile.at(61)
    assert users * profile.unit == pytest.approx(977.003, rel=0.01)


@pytest.mark.parametrize("kind", Kind)
def test_every_example_is_one_of_its_kind(kind):
    profile = Profile.parse(EXAMPLES[kind])
    assert profile.kind is kind
    assert str(profile) == EXAMPLES[kind]


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("constant 20 for 5m", {0: 20, 299: 20}),
        ("ramp 1..101 for 100s", {0: 1, 50: 51, 99: 100}),
        ("10:1m,50:2m,20:30s", {0: 10, 59.9: 10, 60: 50, 180: 20, 209: 20}),
        ("steps 10:1m, 50:2m", {0: 10, 60: 50}),
        ("spike 10..100 of 30s for 5m", {0: 10, 134: 10, 135: 100, 164: 100, 165: 10}),
        ("soak 50 for 100s", {0: 0, 5: 25, 10: 50, 99: 50}),
        ("soak 50 for 10h", {150: 25, 300: 50}),
        ("soak 50 ramp 20s for 100s", {10: 25, 20: 50}),
        ("sine 10..50 period 2m for 4m", {0: 10, 30: 30, 60: 50, 120: 10, 180: 50}),
    ],
)
def test_the_level_at_a_time(text, seen):
    profile = Profile.parse(text)
    assert {t: pytest.approx(profile.level(t)) for t in seen} == seen


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "shape is empty; write for example 'ramp 1..100 for 5m'"),
        ("constant 20 5m", "shape 'constant 20 5m': expected \"for TIME\" before '5m' (as in: constant"),
        ("ramp 1..100", "shape 'ramp 1..100': expected \"for TIME\" at the end (as in: ramp 1..100 for 5m)"),
        ("ramp 1..100 for", "expected a time after 'for'"),
        ("ramp 5 for 1m", "expected two levels LEVEL..LEVEL after 'ramp'"),
        ("constant 5..6 for 1m", "expected a level after 'constant'"),
        ("soak 50 for 1h twice", "do not know what 'twice' means here (as in: soak 50 for 1h)"),
        ("hump 3 for 1m", "'hump' is no shape; write for example 'constant 20 for 5m'"),
        ("10:1m,50", "step 2 '50': has no colon (write LEVEL:TIME, such as 10:1m)"),
        ("10:1m,x:2m", "step 2 'x:2m': 'x' is no level (write 10 for users, 5/s for arrivals per second)"),
        ("10:1m,20:2q", "step 2 '20:2q': '2q' is not a duration"),
        ("10:1m,2/s:2m", "users and rates (/s) in one shape"),
        ("10.5:1m", "10.5 is no number of users; write 10.5/s for a rate"),
        ("0:1m", "the level is never above 0"),
        ("2000000:1m", "it must be 0 to 1,000,000"),
        ("10:0.5s", "0.5 s is too short or too long; it must be 1s to 365d"),
        ("spike 1..5 of 30s for 31s", "the spike must be at least 2 s shorter than the whole"),
        ("soak 5 ramp 30s for 30s", "the ramp must be at least 1 s shorter than the whole"),
        ("sine 1..5 period 2m for 3m", "the duration must be a whole number of periods"),
        ("sine 1..5 period 1s for 3m", "more than 100 periods"),
        (",".join(["1:1s"] * 101), "more than 100 steps"),
        ("-5:1m", "'-5' is no level"),
        ("1e3:1m", "'1e3' is no level"),
    ],
)
def test_an_error_names_place_and_cure(text, message):
    with pytest.raises(ProfileError) as caught:
        Profile.parse(text)
    assert message in str(caught.value)
