"""Probe files: found, imported, and named with their line when they are broken."""

import pytest

from astrometer import bundled
from astrometer.probing.files import load_folder, load_folders

GOOD = "async def probe(ctx):\n    return None\n"


def test_our_probes_are_found_and_none_is_broken():
    folder = load_folder(bundled.folder("probes"))
    assert folder.broken == ()
    names = ["auth", "chat", "chat_segments", "im", "multi_turn", "reads", "scopes", "upload"]
    assert list(folder.probes) == names
    paid = {name for name, probe in folder.probes.items() if probe.costs_tokens}
    assert paid == {"chat", "chat_segments", "multi_turn", "upload"}
    assert all(probe.summary for probe in folder.probes.values())


def test_attributes_of_a_file_are_optional(tmp_path):
    (tmp_path / "mine.py").write_text('"""Mine."""\n' + GOOD)
    probe = load_folder(tmp_path).probes["mine"]
    assert (probe.interval_s, probe.scopes, probe.costs_tokens, probe.summary) == (60, (), False, "Mine.")


def test_helpers_with_an_underscore_are_no_probes(tmp_path):
    (tmp_path / "_helper.py").write_text("X = 1\n")
    assert load_folder(tmp_path).probes == {}


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
    ],
)
def test_a_broken_file_is_named_with_its_line_and_does_not_stop_the_others(tmp_path, text, problem):
    (tmp_path / "bad.py").write_text(text)
    (tmp_path / "good.py").write_text(GOOD)
    folder = load_folder(tmp_path)
    assert list(folder.probes) == ["good"]
    assert [broken.problem for broken in folder.broken] == [f"{tmp_path}/{problem}"]


def test_importing_leaves_nothing_in_the_folder(tmp_path):
    (tmp_path / "good.py").write_text(GOOD)
    load_folder(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["good.py"]


def test_a_folder_of_ones_own_stands_beside_ours_and_replaces_what_has_the_same_name(tmp_path):
    (tmp_path / "mine.py").write_text(GOOD)
    (tmp_path / "chat.py").write_text(f'"""My own."""\n{GOOD}')
    folder = load_folders([bundled.folder("probes"), tmp_path])
    assert {"mine", "chat", "upload"} <= set(folder.probes)
    assert folder.probes["chat"].summary == "My own."
