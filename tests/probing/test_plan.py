"""Settings of probes: per probe, per target, options of their own; a wrong one names its cure."""

from pathlib import Path

import pytest

from astrometer import bundled
from astrometer.config.loader import load
from astrometer.config.settings import Config, ConfigError, ProbeSettings, Target
from astrometer.probing.plan import make_plans
from astrometer.probing.probe_files import load_folder

OURS = load_folder(bundled.folder("probes")).probes
TARGETS = """
[targets.prod]
url = "http://127.0.0.1:6185"
[targets.prod.keys.all]
env = "KEY"
[targets.lab]
url = "http://127.0.0.1:6186"
concurrency = 1
[targets.lab.keys.all]
env = "KEY"
"""


def plans(tmp_path: Path, text: str):
    file = tmp_path / "astrometer.toml"
    file.write_text(TARGETS + text)
    config = load(file, {"KEY": "abk_secret"})
    return {plan.place: plan for plan in make_plans(config, OURS)}


def test_a_target_overrides_what_the_probe_says_and_options_one_by_one(tmp_path):
    found = plans(
        tmp_path,
        """
[probes.chat]
interval = "2m"
timeout = "30s"
options = { slow_after_s = 3, question = "Say {nonce}" }
[targets.lab.probes.chat]
interval = "10m"
cleanup = "5s"
options = { slow_after_s = 20.0 }
[targets.lab.probes.upload]
enabled = false
""",
    )
    prod, lab = found[("prod", "chat")], found[("lab", "chat")]
    assert (prod.interval_s, prod.limits.total_s, prod.limits.cleanup_s) == (120, 30, 15)
    assert (lab.interval_s, lab.limits.total_s, lab.limits.cleanup_s) == (600, 30, 5)
    assert (prod.options["slow_after_s"], lab.options["slow_after_s"]) == (3.0, 20.0)
    assert prod.options["question"] == lab.options["question"] == "Say {nonce}"
    assert (prod.target.concurrency, lab.target.concurrency) == (2, 1)
    assert ("prod", "upload") in found
    assert ("lab", "upload") not in found


def test_a_probe_may_be_left_to_those_who_scrape_it_on_one_target(tmp_path):
    found = plans(tmp_path, "[targets.lab.probes.chat]\nschedule = false\n")
    assert not found[("lab", "chat")].is_scheduled
    assert found[("prod", "chat")].is_scheduled


def test_options_that_are_not_given_are_the_files_own(tmp_path):
    assert plans(tmp_path, "")[("prod", "chat")].options == OURS["chat"].options


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            '[probes.chat.options]\nquesion = "x"',
            'probes.chat.options: unknown option "quesion" (did you mean "question"?)',
        ),
        ("[probes.reads.options]\nx = 1", 'probes.reads.options: unknown option "x" (this probe has none)'),
        (
            '[targets.lab.probes.chat.options]\nslow_after_s = "soon"',
            "targets.lab.probes.chat.options.slow_after_s: a number expected, like 0.0, not 'soon'",
        ),
        ("[probes.chat.options]\nstreaming = 1", "probes.chat.options.streaming: true or false expected"),
        (
            '[probes.chat.options]\nquestion = "How are you?"',
            "probes.chat.options: question: needs {nonce}, the word that the answer must contain",
        ),
        ('[probes.im.options]\numo = "me"', "probes.im.options: umo: 'me' is not of the form"),
        ('[probes.chat]\nschedule = "never"', "probes.chat.schedule: must be true or false"),
        ("[probes.chat]\nschedul = false", 'probes.chat: unknown key "schedul" (did you mean "schedule"?)'),
        ("[targets.lab.probes.chta]\nenabled = false", "targets.lab.probes.chta: no such probe"),
        ("[targets.lab.budget]\ntokens = 5", 'targets.lab.budget: unknown key "tokens" (did you mean'),
        ("[targets.lab.probes.chat]\ntargets = []", 'targets.lab.probes.chat: unknown key "targets"'),
    ],
)
def test_a_wrong_setting_names_its_place_and_its_cure(tmp_path, text, problem):
    with pytest.raises(ConfigError) as caught:
        plans(tmp_path, text)
    assert problem in str(caught.value)


def test_budget_and_state_folder_are_read_and_a_relative_one_is_beside_the_config(tmp_path):
    file = tmp_path / "astrometer.toml"
    file.write_text(
        f'state_dir = "state"\n{TARGETS}\n[targets.lab.budget]\ntokens_per_day = 50_000\nruns_per_day = 100\n'
    )
    config = load(file, {"KEY": "abk_secret"})
    budget = config.targets["lab"].budget
    assert (budget.tokens_per_day, budget.runs_per_day) == (50_000, 100)
    assert config.targets["prod"].budget.is_endless
    assert config.state_dir == tmp_path / "state"


def test_a_config_may_name_a_bundled_probe_that_is_not_among_the_folders_given():
    config = Config(
        source="astrometer.toml",
        targets={"t": Target(name="t", url="http://x")},
        probes={"chat": ProbeSettings(), "chta": ProbeSettings()},
    )
    with pytest.raises(ConfigError, match="chta: no such probe"):
        make_plans(config, {}, also_known=("chat",))
