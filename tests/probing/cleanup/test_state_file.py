"""Facts that outlive a process: whole or not at all, private, loud when damaged."""

import stat

import pytest

from astrometer.probing.cleanup.state_file import StateFile, instance_of


def test_what_one_writes_another_reads(tmp_path):
    said: list[str] = []
    with StateFile(tmp_path / "new" / "a.json", said.append).changing() as value:
        value["n"] = 1
    again = StateFile(tmp_path / "new" / "a.json", said.append)
    assert (again.read(), said) == ({"n": 1}, [])
    assert stat.S_IMODE(again.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(again.path.parent.stat().st_mode) == 0o700


def test_a_change_that_raises_changes_nothing(tmp_path):
    file = StateFile(tmp_path / "a.json", print)
    with file.changing() as value:
        value["n"] = 1
    with pytest.raises(ZeroDivisionError), file.changing() as value:
        value["n"] = 1 / 0
    assert StateFile(tmp_path / "a.json", print).read() == {"n": 1}


def test_a_damaged_file_is_put_aside_and_said(tmp_path):
    path, said = tmp_path / "a.json", []
    path.write_text("[1")
    assert StateFile(path, said.append).read() == {}
    assert "is damaged" in said[0]
    assert [item.name.startswith("a.damaged-") for item in tmp_path.iterdir()] == [True]


def test_an_instance_keeps_its_name_and_two_have_two(tmp_path):
    first = instance_of(tmp_path / "a", print)
    assert instance_of(tmp_path / "a", print) == first
    assert instance_of(tmp_path / "b", print) != first
    (tmp_path / "a" / "instance").write_text("not a name")
    assert instance_of(tmp_path / "a", print) not in ("", "not a name")
