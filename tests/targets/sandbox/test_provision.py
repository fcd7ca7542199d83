import json

import pytest

from astrometer.api.management_endpoints import adapter_settings
from astrometer.targets.sandbox.provision import (
    ApiKey,
    ProvisionSettings,
    RateLimit,
    Strategy,
    apply_settings,
    new_password,
    write_settings,
)


def written(folder, settings, password="first"):
    write_settings(folder, settings, stub_url="http://127.0.0.1:1", password=password)
    return json.loads((folder / "cmd_config.json").read_text())


def test_the_first_settings_name_the_stub_model_and_astrbots_own_rate_limit(tmp_path):
    config = written(tmp_path, ProvisionSettings(model_timeout_s=7))
    (source,) = config["provider_sources"]
    assert (source["api_base"], source["timeout"]) == ("http://127.0.0.1:1/v1", 7)
    assert config["provider"][0]["id"] == config["provider_settings"]["default_provider_id"]
    assert config["platform_settings"]["rate_limit"] == {"time": 60, "count": 30, "strategy": "stall"}
    assert config["provider_settings"]["enable"] is True
    assert "first" not in json.dumps(config)


def test_what_a_server_wrote_into_its_settings_stays(tmp_path):
    config = written(tmp_path, ProvisionSettings())
    config["dashboard"] |= {"password": "changed by the server", "jwt_secret": "x"}
    config["other"] = {"kept": True}
    # AstrBot writes its settings with a byte order mark.
    (tmp_path / "cmd_config.json").write_text(json.dumps(config), encoding="utf-8-sig")
    again = written(
        tmp_path, ProvisionSettings(rate_limit=RateLimit(messages=2, strategy=Strategy.DISCARD)), "second"
    )
    assert again["dashboard"] == config["dashboard"]
    assert again["other"] == {"kept": True}
    assert again["platform_settings"]["rate_limit"] == {"time": 60, "count": 2, "strategy": "discard"}


def test_an_adapter_that_was_made_meanwhile_stays_beside_that_of_the_sink(tmp_path):
    write_settings(tmp_path, ProvisionSettings(), stub_url="http://127.0.0.1:1", password="p", im_port=6001)
    file = tmp_path / "cmd_config.json"
    config = json.loads(file.read_text())
    config["platform"].append(adapter_settings("messenger", 6002, "127.0.0.1", "token"))
    file.write_text(json.dumps(config))
    write_settings(tmp_path, ProvisionSettings(), stub_url="http://127.0.0.1:1", password="p", im_port=6003)
    found = {entry["id"]: entry for entry in json.loads(file.read_text())["platform"]}
    assert {name: entry["ws_reverse_port"] for name, entry in found.items()} == {
        "messenger": 6002,
        "onebot": 6003,
    }
    assert found["messenger"]["ws_reverse_token"] == "token"


def test_settings_can_be_put_back():
    config = {}
    apply_settings(
        config, ProvisionSettings(rate_limit=RateLimit(messages=1, seconds=2), model_enabled=False)
    )
    assert config["provider_settings"]["enable"] is False
    apply_settings(config, ProvisionSettings())
    assert config["provider_settings"]["enable"] is True
    assert config["platform_settings"]["rate_limit"]["count"] == 30


def test_a_key_does_not_show_its_secret():
    assert (
        "abk_secret" not in f"{ApiKey(id='1', secret='abk_secret')!r} {ApiKey(id='1', secret='abk_secret')}"
    )


@pytest.mark.parametrize("_", range(5))
def test_passwords_meet_the_rules_of_all_versions(_):
    password = new_password()
    assert len(password) >= 12
    assert any(c.isupper() for c in password)
    assert any(c.islower() for c in password)
    assert any(c.isdigit() for c in password)
