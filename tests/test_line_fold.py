"""Lines on a terminal break between words, and lines that are rewritten keep whole parts."""

import io

from astrometer.line_fold import fitted, folded


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_long_line_breaks_between_words_on_a_terminal_only(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    line = "  left behind: a session per chat, for ever, on http://astrbot.example:6185/a-long-path"
    lines = folded(line, Terminal()).splitlines()
    assert len(lines) > 1
    assert " ".join(part.strip() for part in lines) == line.strip()
    assert all(len(part) < 40 or part.strip().startswith("http") for part in lines)
    assert folded(line, io.StringIO()) == line


def test_parts_go_whole_the_expendable_ones_first():
    parts = ["0m 25s", "20 users", "started 118", "ok 97", "failed 1"]
    assert fitted(parts, 80) == "  ".join(parts)
    assert fitted(parts, 45, expendable=["started 118"]) == "0m 25s  20 users  ok 97  failed 1"
    assert fitted(parts, 20, expendable=["started 118"]) == "0m 25s  20 users"
    assert fitted(parts, 4) == "0m 2"  # a terminal that narrow shows no part whole
