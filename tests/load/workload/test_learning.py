"""What is learnt from a database or an export has the shape of what was in it, and none of its words."""

import bisect
import json
import shutil
import sqlite3
import statistics

import pytest
from operator_database import START, known_traffic, make_database

from astrometer.load.workload.learning import OWN, learn
from astrometer.load.workload.workload_file import WorkloadError, read, write


def quantile(values, share):
    return sorted(values)[int(len(values) * share)]


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    path = tmp_path_factory.mktemp("operator") / "data_v4.db"
    chats, truth = known_traffic()
    make_database(path, chats).close()
    return path, truth


def test_a_known_shape_comes_back(known, tmp_path):
    path, truth = known
    learnt = learn(path, 0.0, [OWN])
    file = tmp_path / "workload.toml"
    file.write_text(write(learnt.workload))
    workload = read(file)
    assert learnt.turns == len(truth["starts"])
    assert learnt.conversations == len(truth["lengths"])
    assert workload.turns.mean == pytest.approx(statistics.mean(truth["lengths"]), rel=0.01)
    for share in (0.1, 0.25, 0.5, 0.75, 0.9, 0.95):
        assert workload.pause_s.quantile(share) == pytest.approx(quantile(truth["pauses"], share), rel=0.1)
    assert workload.pause_s.mean == pytest.approx(statistics.mean(truth["pauses"]), rel=0.01)
    # The busiest hour, counted the slow way; and all hours together are all turns.
    starts = sorted(truth["starts"])
    most = max(bisect.bisect_left(starts, start + 3600) - n for n, start in enumerate(starts))
    assert workload.busiest_hour.turns_per_s == pytest.approx(most / 3600, rel=0.001)
    days = (starts[-1] - starts[0]) / 86400
    assert sum(workload.by_hour.turns) * days == pytest.approx(len(starts), rel=0.01)
    assert workload.people == truth["people"]  # whatever their sessions
    assert workload.web_share == pytest.approx(0.25, abs=0.02)
    # Questions are told apart from the history that is sent with them.
    assert workload.spreads["prompt_tokens"].mean == pytest.approx(202, rel=0.05)
    assert workload.spreads["output_tokens"].mean == pytest.approx(310, rel=0.05)


def test_the_file_holds_no_text_and_no_id_of_the_source(known):
    path, _ = known
    text = write(learn(path, 0.0, []).workload)
    database = sqlite3.connect(path)
    secrets = {
        part
        for table in ("provider_stats", "conversations")
        for row in database.execute(f"SELECT * FROM {table}")
        for value in row
        if isinstance(value, str)
        for part in (value, *value.replace("!", ":").split(":"))
    }
    database.close()
    assert len(secrets) > 6000
    assert not [secret for secret in secrets if len(secret) > 3 and secret in text]


def test_nothing_is_written_to_the_database_and_a_log_beside_it_is_read(tmp_path):
    live = make_database(tmp_path / "live.db", known_traffic(conversations=50)[0], wal=True)
    copy = tmp_path / "data_v4.db"
    for suffix in ("", "-wal"):
        shutil.copy(tmp_path / f"live.db{suffix}", f"{copy}{suffix}")
    live.close()
    before = [(tmp_path / name).read_bytes() for name in ("data_v4.db", "data_v4.db-wal")]
    assert learn(copy, 0.0, []).conversations == 50
    assert [(tmp_path / name).read_bytes() for name in ("data_v4.db", "data_v4.db-wal")] == before


def test_a_long_pause_begins_a_new_conversation_and_own_runs_are_no_traffic(tmp_path):
    path = tmp_path / "data_v4.db"
    day = [(START + at, START + at + 4, 10, 20) for at in (0, 60, 4000, 4060, 4120)]
    own = "webchat:FriendMessage:webchat!astrometer-0a1b2c-1!astrometer-0a1b2c-x"
    make_database(path, [("qq:GroupMessage:1", "a", day), (own, "b", day), ("probe:x:1", "c", day)]).close()
    learnt = learn(path, 0.0, [OWN, "probe:*"])
    assert (learnt.turns, learnt.conversations, learnt.left_out) == (5, 2, 2)
    assert learnt.workload.turns.values == (2, 3)
    assert learnt.workload.pause_s.values == (56, 56, 56)
    assert learn(path, 0.0, []).turns == 15
    assert learn(path, START + 3000, [OWN, "probe:*"]).turns == 3
    with pytest.raises(WorkloadError, match=r"no answers in it, and 3 chats were left out"):
        learn(path, 0.0, [OWN, "probe:*", "qq:*"])


def line(*turns, user="qq:FriendMessage:77001"):
    content = []
    for when, question, answer in turns:
        parts = [{"type": "text", "text": question}]
        if when:
            parts.append(
                {"type": "text", "text": f"<system_reminder>Current datetime: {when} (CST)</system_reminder>"}
            )
        content += [{"role": "user", "content": parts}, {"role": "assistant", "content": answer}]
        content.append({"role": "_checkpoint", "content": {"id": "secret"}})
    return json.dumps({"cid": "c-1", "user_id": user, "title": "secret title", "content": content})


def test_an_export_gives_turns_minutes_and_sizes(tmp_path):
    path = tmp_path / "export.jsonl"
    at = "2026-11-30 00:{}".format
    path.write_text(
        line((at("31"), "q" * 40, "a" * 400), (at("31"), "q" * 40, "a" * 80), (at("34"), "q" * 80, "a" * 400))
        + "\n\n"
        + line(
            (at("50"), "q" * 40, "a" * 400), (None, "before", "the reminder"), user="webchat:x:webchat!a!b"
        )
    )
    workload = learn(path, 0.0, [OWN]).workload
    assert workload.source == "export"
    assert workload.turns.values == (1, 3)
    assert workload.pause_s.values == pytest.approx((20, 170))  # within a minute; to the middle of another
    assert workload.spreads["prompt_tokens"].values == (10, 10, 10, 20)
    assert workload.spreads["output_tokens"].values == (20, 100, 100, 100)
    assert workload.people == 2
    assert "answer_s" not in workload.spreads
    assert "secret" not in write(workload)


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda path: sqlite3.connect(path).execute("CREATE TABLE other (x)"), "4.22.3"),
        (lambda path: path.write_bytes(b"SQLite format 3\0" + b"x" * 5000), "SQLite|read"),
        (lambda path: path.write_text('{"cid": 1}'), r":1: is not a conversation of an export"),
        (lambda path: path.write_text("\nhello"), r":2: is neither a database nor JSON"),
        (lambda path: path.write_text(""), "no answers in it"),
        (lambda path: path.write_text(line(("2026-99-99 00:00", "q", "a"))), r":1: a time cannot be read"),
    ],
)
def test_what_cannot_be_learnt_from_is_named(tmp_path, make, complaint):
    path = tmp_path / "file"
    make(path)
    with pytest.raises(WorkloadError, match=complaint):
        learn(path, 0.0, [])
