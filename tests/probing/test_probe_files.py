"""Probe files: found, imported, and named with their line when they are broken."""

import sys

import pytest

from astrometer import bundled
from astrometer.probing.probe_files import InvalidProbe, load_folder, load_folders, load_probe

GOOD = "async def probe(ctx):\n    return None\n"


def test_our_probes_are_found_and_none_is_broken():
    folder = load_folder(bundled.folder("probes"))
    assert folder.broken == ()
    names = sorted(file.stem for file in bundled.folder("probes").glob("[!_]*.py"))
    assert list(folder.probes) == names
    assert len(names) > 7
    paid = {name for name, probe in folder.probes.items() if probe.costs_tokens}
    assert paid == {name for name, probe in folder.probes.items() if "chat" in probe.scopes} | {"im_chat"}
    assert all(probe.summary for probe in folder.probes.values())


def test_attributes_of_a_file_are_optional(tmp_path):
    (tmp_path / "mine.py").write_text('"""Mine."""\n' + GOOD)
    probe = load_folder(tmp_path).probes["mine"]
    assert (probe.interval_s, probe.scopes, probe.costs_tokens, probe.summary) == (60, (), False, "Mine.")


def test_helpers_with_an_underscore_are_no_probes(tmp_path):
    (tmp_path / "_helper.py").write_text("X = 1\n")
    assert load_folder(tmp_path).probes == {}


def test_a_helper_can_be_imported_is_that_of_the_same_folder_and_is_read_anew(tmp_path):
    def word(folder) -> object:
        return load_folder(folder).probes["mine"].options["word"]

    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "_helper.py").write_text(f"WORD = {name!r}\n")
        (tmp_path / name / "mine.py").write_text(
            f"from _helper import WORD\nOPTIONS = dict(word=WORD)\n{GOOD}"
        )
    path = [*sys.path]
    assert (word(tmp_path / "one"), word(tmp_path / "two")) == ("one", "two")
    (tmp_path / "one" / "_helper.py").write_text("WORD = 'another'\n")
    assert word(tmp_path / "one") == "another"
    assert sys.path == path
    assert "_helper" not in sys.modules


def test_a_package_of_helpers_is_read_anew(tmp_path):
    def words() -> object:
        return load_folder(tmp_path).probes["mine"].options["words"]

    for folder in ("_plain", "_package"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "words.py").write_text("WORD = 'one'\n")
    (tmp_path / "_package" / "__init__.py").write_text("")
    imports = "import _plain.words as a, _package.words as b"
    (tmp_path / "mine.py").write_text(f"{imports}\nOPTIONS = dict(words=a.WORD + b.WORD)\n{GOOD}")
    assert words() == "oneone"
    for folder in ("_plain", "_package"):
        (tmp_path / folder / "words.py").write_text("WORD = 'another'\n")
    assert words() == "anotheranother"


def test_a_broken_helper_is_named_itself(tmp_path):
    (tmp_path / "_helper.py").write_text("x = (\n")
    (tmp_path / "mine.py").write_text(f"import _helper\n{GOOD}")
    (broken,) = load_folder(tmp_path).broken
    assert broken.problem == f"{tmp_path}/_helper.py:1: '(' was never closed"


def test_a_file_named_like_a_module_of_python_does_not_take_its_place(tmp_path, monkeypatch):
    monkeypatch.delitem(sys.modules, "netrc", raising=False)
    (tmp_path / "netrc.py").write_text(GOOD)
    (tmp_path / "mine.py").write_text(f"import netrc\nnetrc.netrc\n{GOOD}")
    assert set(load_folder(tmp_path).probes) == {"netrc", "mine"}
    assert hasattr(sys.modules["netrc"], "netrc")  # not taken from those who have it


def test_a_file_may_have_dataclasses_whose_annotations_are_text(tmp_path):
    (tmp_path / "mine.py").write_text(
        "from __future__ import annotations\nfrom dataclasses import dataclass\n"
        f"@dataclass\nclass Seen:\n    n: int = 0\n{GOOD}"
    )
    assert load_folder(tmp_path).broken == ()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("def probe(ctx):\n    return 1\n", "bad.py: has no `async def probe(ctx: Context) -> Verdict`"),
        ("x = (\n", "bad.py:1: '(' was never closed"),
        ("import os\nraise KeyError('a')\n", "bad.py:2: KeyError: 'a'"),
        (f"INTERVAL = 0\n{GOOD}", "bad.py: INTERVAL must be a number of seconds above 0, not 0"),
        (
            f"OPTIONS = {{'umo': None}}\n{GOOD}",
            'bad.py: OPTIONS must name defaults, like {"question": "..."}: text or numbers',
        ),
        (f"SCOPES = 'chat'\n{GOOD}", 'bad.py: SCOPES must be a tuple of names, like ("chat",)'),
        (f"SCOPES = 5\n{GOOD}", 'bad.py: SCOPES must be a tuple of names, like ("chat",)'),
        (f"INTERVAL = float('nan')\n{GOOD}", "bad.py: INTERVAL must be a number of seconds above 0, not nan"),
        (
            f"OPTIONS = dict(to='')\nPRICED_BY = 'to'\n{GOOD}",
            'bad.py: PRICED_BY must be a tuple of names out of OPTIONS, like ("umo",)',
        ),
        ("import sys\nsys.exit(3)\n", "bad.py:2: SystemExit: 3"),
        (f"check = True\n{GOOD}", "bad.py: check must be a function: `def check(options)`"),
        ("\nimport _nothing\n", "bad.py:2: ModuleNotFoundError: No module named '_nothing'"),
    ],
)
def test_a_broken_file_is_named_with_its_line_and_does_not_stop_the_others(tmp_path, text, problem):
    (tmp_path / "bad.py").write_text(text)
    (tmp_path / "good.py").write_text(GOOD)
    folder = load_folder(tmp_path)
    assert list(folder.probes) == ["good"]
    assert [broken.problem for broken in folder.broken] == [f"{tmp_path}/{problem}"]


def test_importing_leaves_nothing_in_the_folder(tmp_path):
    (tmp_path / "_helper.py").write_text("")
    (tmp_path / "good.py").write_text(f"import _helper\n{GOOD}")
    load_folder(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"_helper.py", "good.py"}


def test_a_folder_of_ones_own_stands_beside_ours_and_replaces_what_has_the_same_name(tmp_path):
    (tmp_path / "mine.py").write_text(GOOD)
    (tmp_path / "chat.py").write_text(f'"""My own."""\n{GOOD}')
    folder = load_folders([bundled.folder("probes"), tmp_path])
    assert {"mine", "chat", "upload"} <= set(folder.probes)
    assert folder.probes["chat"].summary == "My own."


@pytest.mark.parametrize(("costs", "interval_s"), [("", 60), ("COSTS_TOKENS = True\n", 1800)])
def test_a_probe_that_does_not_say_how_often_is_affordable(tmp_path, costs, interval_s):
    (tmp_path / "mine.py").write_text(f"{costs}async def probe(ctx):\n    return None\n")
    assert load_probe(tmp_path / "mine.py").interval_s == interval_s


def test_a_probe_names_what_it_measures(tmp_path):
    (tmp_path / "mine.py").write_text(
        "MEASURES = ('login_seconds',)\nasync def probe(ctx):\n    return None\n"
    )
    assert load_probe(tmp_path / "mine.py").measures == ("login_seconds",)
    (tmp_path / "mine.py").write_text("MEASURES = 'login_seconds'\nasync def probe(ctx):\n    return None\n")
    with pytest.raises(InvalidProbe, match="MEASURES must be a tuple of names"):
        load_probe(tmp_path / "mine.py")


@pytest.mark.parametrize("turns", ["0", "-1", "1.5", "True", "'2'"])
def test_turns_that_are_no_number_are_refused(tmp_path, turns):
    (tmp_path / "mine.py").write_text(f"TURNS = {turns}\nasync def probe(ctx):\n    return None\n")
    with pytest.raises(InvalidProbe, match="TURNS must be a whole number from 1"):
        load_probe(tmp_path / "mine.py")
