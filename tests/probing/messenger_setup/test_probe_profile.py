"""The profile of a probe, and what in another one would spoil a probe."""

import pytest

from astrometer.probing.messenger_setup.probe_profile import SETTINGS, hindrances, profile_from


def test_the_default_profile_stays_as_it_is_and_the_copy_is_whole():
    default = {"platform_settings": {"rate_limit": {"count": 5}, "path_mapping": [1]}, "timezone": "UTC"}
    made = profile_from(default)
    assert default["platform_settings"]["rate_limit"] == {"count": 5}
    assert made["timezone"] == "UTC"
    assert made["platform_settings"]["path_mapping"] == [1]
    assert made["platform_settings"]["rate_limit"]["count"] == 1_000_000  # 0 is silence on 4.18.0
    assert list(hindrances(made)) == []


@pytest.mark.parametrize("setting", [one for one in SETTINGS if one.otherwise], ids=lambda one: one.path)
def test_each_setting_that_would_spoil_a_probe_is_found(setting):
    made = profile_from({})
    *folders, name = setting.path.split(".")
    inside = made
    for folder in folders:
        inside = inside[folder]
    inside[name] = {"True": False, "False": True}.get(str(setting.wanted), 1 if name == "count" else ["x"])
    assert [one.path for one in hindrances(made)] == [setting.path]


@pytest.mark.parametrize(("count", "fits"), [(0, True), (60, True), (1_000_000, True), (30, False)])
def test_a_rate_limit_that_a_probe_never_reaches_is_none(count, fits):
    made = profile_from({})
    made["platform_settings"]["rate_limit"]["count"] = count
    assert (list(hindrances(made)) == []) is fits


def test_a_whitelist_that_is_switched_off_keeps_nobody_out():
    settings = {"enable_id_white_list": False, "id_whitelist": ["7001"]}
    assert list(hindrances({"platform_settings": settings})) == []


def test_what_a_configuration_does_not_say_is_no_hindrance():
    """Older versions have not got every setting."""
    assert list(hindrances({"platform_settings": {"reply_with_quote": True}})) == []
