"""Records files: what is whole is read, whatever came after it."""

import gzip
import json
import sys
from datetime import UTC, datetime

import pytest
from record_rows import chat_row, chats
from required import needs_extra

from astrometer.measure.records import record_files
from astrometer.measure.records.record_files import (
    RecordsError,
    lacks,
    named,
    read_rows,
    rows_of_columns,
    to_columns,
)


def line(number):
    return json.dumps(chat_row(number, t_s=number)).encode() + b"\n"


def numbers(path):
    return [row["t_send_s"] for row in read_rows(path)]


def test_a_line_that_was_cut_is_left_out(tmp_path):
    file = tmp_path / "r.jsonl"
    file.write_bytes(line(1) + line(2) + line(3)[:-20])
    assert numbers(file) == [1, 2]


@pytest.mark.parametrize("cut", [0, 1, 30])
def test_of_compressed_rows_all_whole_members_are_read(tmp_path, cut):
    members = [gzip.compress(line(number), 1) for number in (1, 2, 3)]
    whole = b"".join(members)
    file = tmp_path / "r.jsonl.gz"
    file.write_bytes(whole[: len(whole) - cut])
    assert numbers(file)[:2] == [1, 2]
    assert gzip.decompress(whole).count(b"\n") == 3  # any tool reads it


@pytest.fixture
def columns(tmp_path, monkeypatch):
    """Rows, and the file of columns that was made of them, in several groups."""
    needs_extra("parquet", "pyarrow")
    monkeypatch.setattr(record_files, "_BATCH_ROWS", 7)
    monkeypatch.setattr(record_files, "_GROUP_ROWS", 21)
    rows, file = tmp_path / "r.rows.jsonl.gz", tmp_path / "r.parquet"
    written = list(chats(300))
    rows.write_bytes(gzip.compress(b"".join(json.dumps(row).encode() + b"\n" for row in written)))
    to_columns(rows, file)
    return written, file


def test_columns_hold_what_the_rows_did(columns):
    written, file = columns
    assert list(read_rows(file)) == written
    assert rows_of_columns(file).name == "r.parquet.rows.jsonl.gz"
    assert [path.name for path in file.parent.iterdir()] == ["r.parquet", "r.rows.jsonl.gz"]


def test_columns_have_the_types_that_tools_expect(columns):
    from pyarrow import parquet  # an extra

    _, file = columns
    table = parquet.read_table(file)
    kinds = {
        "at": "timestamp[us, tz=UTC]", "turn": "int64", "ttft_s": "double", "measured": "bool",
        "run": "string",
    }  # fmt: skip
    assert {name: str(table.schema.field(name).type) for name in kinds} == kinds
    assert table["at"][3].as_py() == datetime(2001, 9, 9, 1, 46, 40, 300_000, tzinfo=UTC)
    assert table["bytes_sent"].null_count == 300  # unknown is null, and 0 is a number


def test_columns_of_something_else_are_refused(tmp_path):
    needs_extra("parquet", "pyarrow")
    import pyarrow as pa
    from pyarrow import parquet

    file = tmp_path / "r.parquet"
    parquet.write_table(pa.table({"at": [1.5], "city": ["Rome"]}), file)
    with pytest.raises(RecordsError, match=r"r.parquet: not records of exchanges"):
        list(read_rows(file))
    file.write_bytes(b"PAR1 never")
    with pytest.raises(RecordsError, match=r"r.parquet: not a Parquet file"):
        list(read_rows(file))


def test_without_the_extra_the_cure_is_said(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setattr("astrometer.measure.records.record_files.find_spec", lambda _: None)
    assert lacks(tmp_path / "r.parquet") == "needs the extra parquet: pip install pyarrow"
    assert lacks(tmp_path / "r.jsonl.gz") is None


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"{]\n", "line 1: not valid JSON"),
        (b'{"a": 1}\n', "line 1: not a record of an exchange"),
        (b"[]\n", "line 1: not a record of an exchange"),
    ],
)
def test_another_file_is_refused_with_the_line(tmp_path, content, complaint):
    file = tmp_path / "r.jsonl"
    file.write_bytes(content)
    with pytest.raises(RecordsError, match=complaint):
        list(read_rows(file))


def test_what_cannot_be_unpacked_is_named(tmp_path):
    file = tmp_path / "r.jsonl.gz"
    file.write_bytes(b"never compressed")
    with pytest.raises(RecordsError, match=r"r.jsonl.gz: cannot be read \("):
        list(read_rows(file))


@pytest.mark.parametrize("name", ["records", "r.json", "r.csv.gz", "out/.jsonl"])
def test_a_name_of_no_kind_is_refused(name):
    with pytest.raises(ValueError, match=r"must end in \.jsonl, \.jsonl\.gz or \.parquet"):
        named(name)
