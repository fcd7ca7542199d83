"""The settings in force, as TOML, without a secret."""

import tomllib
from dataclasses import replace

from astrometer.config.exporter_settings import ExporterSettings
from astrometer.config.settings import Config
from astrometer.probing.exporter.config_page import of_plan, secrets_of, whole


def test_it_is_toml_with_masked_keys_and_options(bench):
    target = bench.target(all="chat")
    config = Config(source="test", targets={target.name: target}, exporter=ExporterSettings())
    plan = bench.plan(target, None, name="p")
    plan = replace(plan, options={"api_token": "hush", "question": 'a "b"\n\x1b'})
    (secret,) = secrets_of(config)
    for text in (whole(config, [plan]), of_plan(plan, config)):
        assert secret not in text
        assert "hush" not in text
        read = tomllib.loads(text)["targets"]["sim"]
        assert read["keys"]["all"] == {"secret": "***", "scopes": ["chat"]}
        assert read["probes"]["p"]["options"] == {"api_token": "***", "question": 'a "b"\n\x1b'}
