"""Changes of AstrBot's configuration: what is merged, what is refused, and that no value is told."""

import json

import pytest

from astrometer.targets.sandbox.config_patch import ConfigPatchError, read_config_patch

CONFIG = {"provider_settings": {"streaming_response": False, "pool": ["*"]}, "t2i": False}


def patch(tmp_path, content):
    file = tmp_path / "fast.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return read_config_patch(file)


def test_objects_are_merged_and_lists_replaced(tmp_path):
    config = json.loads(json.dumps(CONFIG))
    wanted = patch(tmp_path, {"provider_settings": {"pool": ["a"]}, "t2i": True})
    wanted.apply(config)
    assert config == {"provider_settings": {"streaming_response": False, "pool": ["a"]}, "t2i": True}
    wanted.check(config, "4.29.3")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (
            {"provider_setings": {}},
            'provider_setings: AstrBot 4.29.3 has no such key (did you mean "provider_',
        ),
        (
            {"provider_settings": {"streaming_respons": "hush"}},
            'fast.json: provider_settings.streaming_respons: AstrBot 4.29.3 has no such key (did you mean "s',
        ),
        ({"provider_settings": "hush"}, "did not take this value; what it has there is of type object"),
    ],
)
def test_a_key_that_the_server_does_not_have_is_told_with_its_path_and_without_its_value(
    tmp_path, content, told
):
    with pytest.raises(ConfigPatchError) as caught:
        patch(tmp_path, content).check(CONFIG, "4.29.3")
    assert told in str(caught.value)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "not JSON"),
        ([], "expected an object"),
        ({}, "expected an object"),
        ({"provider": []}, "provider: the sandbox sets this itself"),
    ],
)
def test_a_file_that_is_no_patch_is_refused(tmp_path, content, told):
    with pytest.raises(ConfigPatchError, match=told):
        patch(tmp_path, content)


def test_its_values_are_in_no_repr(tmp_path):
    assert "hush" not in repr(patch(tmp_path, {"t2i": "hush"}))
