"""Rows until somebody takes them: bounded, whole, and without a key."""

import gzip
import json
from pathlib import Path

import pytest
from ended_exchanges import call, turn
from record_rows import chat_row
from required import needs_extra

from astrometer.load.run.record_file import RecordFile
from astrometer.load.run.record_log import AT_ONCE, Chunk, HandOverError, RecordLog
from astrometer.load.run.run_clock import RunClock
from astrometer.measure.records.record_files import read_rows
from astrometer.measure.tally.exchange_stats import ExchangeSamples
from astrometer.measure.tally.windows import Window

KEY = "abk_0123456789abcdef"


class Taken:
    def __init__(self):
        self.chunks = []
        self.is_away = False

    def __call__(self, chunk):
        if self.is_away:
            raise HandOverError
        self.chunks.append(chunk)

    @property
    def rows(self):
        return [json.loads(line) for chunk in self.chunks for line in chunk.data.decode().splitlines()]


@pytest.fixture
def taken():
    return Taken()


def log_to(taken, **more):
    clock = RunClock(now=lambda: 100.0, wall=lambda: 5000.0)
    log = RecordLog(clock, always={"run": "abcdef"}, window=Window(excluded_s=1.0), secrets=[KEY], **more)
    log._hand_over = taken  # as `start`, without the greenlet
    return log


def note(log, done, t_s=2.0):
    log.note("mixed", "chat", t_s, way="SSE", done=done, samples=ExchangeSamples.of(done), user="u", turn=3)


def test_a_row_says_whose_it_is_and_when(taken):
    log = log_to(taken)
    note(log, turn())
    note(log, call(t_send=103.5), t_s=0.5)
    log.flush()
    first, second = taken.rows
    assert (first["run"], first["scenario"], first["user"], first["turn"]) == ("abcdef", "mixed", "u", 3)
    assert (first["measured"], second["measured"]) == (True, False)
    assert (second["t_send_s"], second["at"]) == (3.5, 5003.5)


def test_no_key_is_written_however_it_came(taken):
    log = log_to(taken, with_text=True)
    note(log, turn(text=f"you sent {KEY}", detail=f"refused {KEY[:15]}…", session_id=KEY))
    log.flush()
    (row,) = taken.rows
    assert KEY[:12] not in json.dumps(row)
    assert row["session_id"] == "***"


def test_texts_are_kept_only_when_they_are_asked_for(taken):
    log = log_to(taken)
    note(log, turn(text="an answer", detail="words of the server", reasoning="a thought"))
    log.flush()
    assert not {"answer", "detail", "reasoning"} & taken.rows[0].keys()


def test_a_chunk_that_was_not_taken_is_offered_again(taken):
    log = log_to(taken)
    note(log, turn())
    taken.is_away = True
    log.flush()
    note(log, turn())
    taken.is_away = False
    log.flush()
    assert (len(taken.rows), taken.chunks[0].lost) == (2, 0)


def test_what_does_not_fit_is_counted(taken):
    log = log_to(taken, most_bytes=1000)
    taken.is_away = True
    for _ in range(10):
        note(log, turn())
        log.flush()
    taken.is_away = False
    log.flush()
    (chunk,) = taken.chunks
    assert chunk.lines == len(taken.rows) > 0
    assert chunk.lines + chunk.lost == 10


def test_many_exchanges_of_half_a_second_are_one_chunk(taken):
    log = log_to(taken)
    for number in range(2 * AT_ONCE + 1):
        note(log, turn(session_id=str(number)))
    log.flush()
    assert len(taken.chunks) == 1
    assert [row["session_id"] for row in taken.rows] == [str(number) for number in range(2 * AT_ONCE + 1)]


def test_compressed_chunks_are_members_of_one_file(taken):
    log = log_to(taken, compressed=True)
    for _ in range(2):
        note(log, turn())
        log.flush()
    whole = b"".join(chunk.data for chunk in taken.chunks)
    assert len(gzip.decompress(whole).splitlines()) == 2


def test_a_place_that_cannot_be_written_costs_the_records_and_nothing_else(tmp_path):
    (tmp_path / "file").write_text("")
    kept = RecordFile(tmp_path / "file" / "r.jsonl")
    kept.begin()
    kept.add(Chunk(data=b"{}\n", lines=1))
    kept.close()
    told = kept.to_json(tmp_path)
    assert (told["lines"], told["lost"]) == (0, 1)
    assert "cannot be written (" in told["problem"]


def test_a_full_disk_leaves_whole_lines():
    kept = RecordFile(Path("/dev/full"))
    kept.begin()
    kept.add(Chunk(data=b"{}\n", lines=1))
    kept.close()
    assert (kept.to_json(None)["lines"], kept.to_json(None)["lost"]) == (0, 1)
    assert "No space left" in kept.to_json(None)["problem"]


def test_columns_of_an_earlier_run_are_not_taken_for_those_of_this_one(tmp_path):
    needs_extra("parquet", "pyarrow")
    file, row = tmp_path / "r.parquet", chat_row(7, t_s=1.0)
    file.write_bytes(b"of an earlier run")
    kept = RecordFile(file)
    kept.begin()
    kept.add(Chunk(data=gzip.compress(json.dumps(row).encode() + b"\n"), lines=1))
    kept.sync()
    assert (list(read_rows(file)), file.exists()) == ([row], False)  # if it is killed here, that stays so
    kept.close()
    assert (list(read_rows(file)), [path.name for path in tmp_path.iterdir()]) == ([row], ["r.parquet"])
