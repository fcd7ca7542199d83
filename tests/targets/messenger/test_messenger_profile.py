import pytest

from astrometer.targets.messenger.messenger_profile import (
    MessengerProfile,
    MessengerProfileError,
    parse_profile,
)


def test_the_usual_profile_quotes_and_holds_nothing_back():
    config = {"platform_settings": {"other": 1, "segmented_reply": {"regex": "x", "enable": True}}}
    MessengerProfile().apply(config)
    platform = config["platform_settings"]
    assert platform["reply_with_quote"] is True
    assert config["disable_builtin_commands"] is True
    assert (config["t2i"], config["provider_settings"]["streaming_response"]) == (False, False)
    assert platform["segmented_reply"] == {
        "regex": "x", "enable": False, "interval_method": "random", "interval": "1.5,3.5"
    }  # fmt: skip
    assert (platform["id_whitelist"], platform["other"]) == ([], 1)


def test_no_limit_is_a_limit_that_nobody_meets():
    config = {}
    MessengerProfile().apply(config)
    assert config["platform_settings"]["rate_limit"]["count"] > 100_000  # 4.18.0 fails on every message at 0
    MessengerProfile(rate_limit_messages=3, rate_limit_seconds=5, rate_limit_strategy="discard").apply(config)
    limit = {"time": 5, "count": 3, "strategy": "discard"}
    assert config["platform_settings"]["rate_limit"] == limit


def test_settings_are_read_from_text():
    profile = parse_profile(
        [
            "reply_with_quote=off",
            "reply_prefix=a=b",
            "whitelist=7001,messenger:FriendMessage:1",
            "forward_threshold=20",
            "streaming=segments",
            "segment_pause=0.1,0.2",
        ]
    )
    assert profile == MessengerProfile(
        reply_with_quote=False,
        reply_prefix="a=b",
        whitelist=("7001", "messenger:FriendMessage:1"),
        forward_threshold=20,
        streaming="segments",
        segment_pause="0.1,0.2",
    )


@pytest.mark.parametrize(
    ("setting", "complaint"),
    [
        ("reply_with_quot=on", "known: reply_with_quote"),
        ("reply_with_quote", "NAME=VALUE expected"),
        ("reply_with_quote=yes", "on or off expected"),
        ("forward_threshold=-1", "a whole number expected"),
        ("streaming=fast", "off, segments, whole expected"),
        ("rate_limit_strategy=drop", "stall, discard expected"),
        ("segment_pause=2", "SHORTEST,LONGEST seconds expected"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_with_its_cure(setting, complaint):
    with pytest.raises(MessengerProfileError, match=complaint) as refused:
        parse_profile([setting])
    assert setting in str(refused.value)


@pytest.mark.parametrize(
    "profile",
    [
        MessengerProfile(),
        MessengerProfile(
            reply_with_quote=False,
            rate_limit_messages=3,
            rate_limit_strategy="discard",
            segmented_reply=True,
            streaming="segments",
            whitelist=("7001",),
            blocked_words=("no",),
            model_enabled=False,
            reply_prefix="> ",
        ),
        MessengerProfile(streaming="whole", text_to_image=True, disable_builtin_commands=False),
    ],
)
def test_what_was_written_into_a_configuration_is_read_from_it(profile):
    config = {}
    profile.apply(config)
    assert MessengerProfile.read(config) == profile
