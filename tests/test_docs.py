"""The pages for people: links lead somewhere, commands are ones that exist, and both READMEs say the same."""

import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from urllib.parse import unquote

import click
import pytest

from astrometer.cli import main
from astrometer.config.loader import load
from astrometer.report.view.capacity_steps import NOTE as STEP_NOTE

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    [
        ROOT / "README.md",
        ROOT / "README.zh-CN.md",
        ROOT / "CHANGELOG.md",
        ROOT / "SECURITY.md",
        ROOT / "bench" / "RESULTS.md",
        *ROOT.glob("docs/**/*.md"),
    ]
)
MADE = ROOT / "docs" / "reference" / "cli.md"  # from the commands themselves; test_cli_reference.py
FENCED = re.compile(r"^( *)```(\w*)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^(#{1,6}) +(.+?) *#*$", re.MULTILINE)
OPERATORS = ("|", "||", "&&", "&", ";", ">", ">>", "2>", "<", "2>&1")


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def prose(text: str) -> str:
    """Without blocks and spans of code, in which brackets are no links."""
    return re.sub(r"`[^`\n]*`", "", FENCED.sub("", text))


def links(page: Path) -> list[str]:
    found = re.findall(r"\]\(([^)\s]+)\)", prose(page.read_text("utf-8")))
    return [link for link in found if not re.match(r"[a-z]+:", link)]


@cache
def anchors(page: Path) -> frozenset[str]:
    """Of each heading, as GitHub makes them: letters, digits, `-` and `_` stay, a second one gets `-1`."""
    seen: dict[str, int] = {}
    for _, title in HEADING.findall(FENCED.sub("", page.read_text("utf-8"))):
        plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", title).lower()
        slug = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        count = seen.get(slug, 0)
        seen[slug] = count + 1
        if count:
            seen[f"{slug}-{count}"] = 1
    return frozenset(seen)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_relative_link_leads_to_a_file_and_a_heading_that_exist(page):
    dead = []
    for link in links(page):
        path, _, anchor = unquote(link).partition("#")
        goal = (page.parent / path).resolve() if path else page
        if not goal.exists():
            dead.append(f"{link}: no such file")
        elif not goal.is_relative_to(ROOT):
            dead.append(f"{link}: outside of the project")
        elif anchor and anchor not in anchors(goal):
            dead.append(f"{link}: no such heading")
    assert dead == []


def typed(block: str) -> list[str]:
    """What is typed in it: the lines behind a prompt, or all of them when there is none."""
    lines = block.replace("\\\n", " ").splitlines()
    return [line for line in lines if line.lstrip().startswith("$ ")] or lines


def code(page: Path) -> Iterator[str]:
    """The lines of all code: fenced and indented blocks, continued lines joined, and spans in the text."""
    text = page.read_text("utf-8")
    for _, _, block in FENCED.findall(text):
        yield from typed(block)
    rest = FENCED.sub("", text)
    for block in re.findall(r"(?:^    .*\n)+", rest, flags=re.MULTILINE):
        yield from typed(block)
    yield from re.findall(r"`([^`\n]+)`", rest)


def calls(page: Path, program: str) -> list[list[str]]:
    """How the page calls the program: the words behind its name, up to an operator of the shell."""
    found = []
    for line in code(page):
        start = re.match(rf"\s*(?:[$#>]|- run:|- )?\s*(?:\w+=\S+\s+)*(?:\S*/)?{program}(?: -h)?(?= |$)", line)
        if not start:
            continue
        try:
            words = shlex.split(re.sub(r"\$\{\{.*?\}\}", "X", line[start.end() :]), comments=True)
        except ValueError:  # no command: a sentence with an apostrophe
            continue
        end = next((i for i, word in enumerate(words) if word in OPERATORS), len(words))
        found.append([re.sub(r"^\[(?=-)|(?<=\w)\]$", "", word) for word in words[:end]])
    return found


def complaint(words: list[str]) -> str | None:
    """What is wrong with `astrometer WORDS`; None: nothing."""
    command: click.Command = main
    context = click.Context(main, info_name="astrometer")
    rest = list(words)
    while isinstance(command, click.Group):
        if not rest or rest[0] in ("-h", "--help", "--version"):
            return None
        if words[0] == "sandbox" and rest[0].startswith("-"):
            rest = ["up", *rest]  # its default
        if not re.fullmatch(r"[a-z]+", rest[0]):
            return None  # no command but a name, or a sentence
        found = command.get_command(context, rest[0])
        if found is None:
            return f"there is no command {rest[0]!r}"
        command, rest = found, rest[1:]
        context = click.Context(command, info_name=command.name, parent=context)
    own = rest[: rest.index("--")] if "--" in rest else rest
    values = {opt for p in command.params if isinstance(p, click.Option) and not p.is_flag for opt in p.opts}
    if own and own[-1] in values:
        own.append("X")  # named in a sentence, without a value
    try:
        command.make_parser(context).parse_args(own)
    except click.UsageError as error:
        return error.format_message()
    return None


@pytest.mark.parametrize("page", [page for page in PAGES if page != MADE], ids=name)
def test_every_astrometer_command_in_the_pages_exists_with_its_options(page):
    wrong = {shlex.join(words): complaint(words) for words in calls(page, "astrometer")}
    assert {call: text for call, text in wrong.items() if text} == {}


def test_the_pages_show_commands_and_a_wrong_one_would_be_found():
    assert sum(len(calls(page, "astrometer")) for page in PAGES) > 50
    assert complaint(["load", "chat", "--user", "3"]) is not None
    assert complaint(["lode", "chat"]) is not None
    assert complaint(["sandbox", "--astrobot", "4.29.3"]) is not None


@pytest.mark.process
def test_every_locust_option_in_the_pages_exists():
    """Ours and Locust's own. In a process of its own: Locust patches the one it is in."""
    said = subprocess.run(
        [sys.executable, "-m", "locust", "--help"], capture_output=True, text=True, timeout=60, check=True
    ).stdout
    ours = MADE.read_text("utf-8").partition("## Arguments of every load run")[2]
    known = set(re.findall(r"(?<![\w-])--?[a-z][\w-]*", said + ours, flags=re.IGNORECASE))
    mixed = (ROOT / "locustfiles" / "mixed.py").read_text("utf-8")
    known |= {f"--{scenario}-weight" for scenario in re.findall(r'"(\w+)": \d', mixed)}
    used = {
        (name(page), word.partition("=")[0])
        for page in PAGES
        for words in (
            *calls(page, "locust"),
            *(w[w.index("--") + 1 :] for w in calls(page, "astrometer") if "--" in w),
        )
        for word in words
        if re.match(r"--?[a-z]", word)
    }
    assert len(used) > 10
    assert {(page, option) for page, option in used if option not in known} == set()


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_no_page_names_a_place_on_the_machine_it_was_written_on(page):
    text = page.read_text("utf-8")
    # A checkout may lie in /tmp itself, of which a page may speak.
    for place in {ROOT, ROOT.parent, Path.home()} - {Path(tempfile.gettempdir())}:
        if len(place.parts) > 1:
            assert f"{place}/" not in text
    for up in set(re.findall(r"(?<![\w/.])(?:\.\./)+[\w.-]+", text)):
        assert (page.parent / up).exists(), up


def wide(text: str) -> list[str]:
    """Prose and typed lines that are too long to read as text; tables and output cannot be wrapped."""
    shown = {line for _, _, block in FENCED.findall(text) for line in block.splitlines()}
    told = [line for line in text.splitlines() if line not in shown or line.lstrip().startswith("$ ")]
    return [line for line in told if len(line) > 120 and not line.startswith("|")]


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if page.is_relative_to(ROOT / "docs") and "zh-CN" not in page.parts],
    ids=name,
)
def test_lines_are_at_most_120_characters_long(page):
    assert wide(page.read_text("utf-8")) == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_a_search_is_shown_with_the_words_of_today(page):
    searches = [
        block
        for _, _, block in FENCED.findall(page.read_text("utf-8"))
        if "step     load" in block or "pass?" in block
    ]
    assert [block for block in searches if STEP_NOTE not in " ".join(block.split())] == []


def test_the_index_of_the_docs_lists_every_page():
    index = ROOT / "docs" / "README.md"
    listed = {link.partition("#")[0] for link in links(index)}
    pages = {str(page.relative_to(index.parent)) for page in ROOT.glob("docs/**/*.md")}
    assert pages - {"README.md"} <= listed


def test_the_configuration_for_production_can_be_read(tmp_path):
    page = (ROOT / "docs" / "how-to" / "watch-production.md").read_text("utf-8")
    (settings,) = [block for _, language, block in FENCED.findall(page) if language == "toml"]
    (tmp_path / "astrbot_key").write_text("abk_example\n")
    (tmp_path / "astrometer.toml").write_text(settings, "utf-8")
    target = load(tmp_path / "astrometer.toml", {}).targets["prod"]
    assert {key.name: key.scopes for key in target.keys.values()} == {"main": {"chat", "file"}}


TRANSLATED = {  # Chinese -> English
    ROOT / "README.zh-CN.md": ROOT / "README.md",
    ROOT / "docs" / "zh-CN" / "tutorial.md": ROOT / "docs" / "tutorial.md",
    ROOT / "docs" / "zh-CN" / "tutorial-messenger.md": ROOT / "docs" / "tutorial-messenger.md",
    ROOT / "docs" / "zh-CN" / "watch-production.md": ROOT / "docs" / "how-to" / "watch-production.md",
    ROOT / "docs" / "zh-CN" / "tell-me.md": ROOT / "docs" / "how-to" / "tell-me.md",
}


def test_every_chinese_page_is_held_against_its_english_one():
    assert set(TRANSLATED) == {page for page in PAGES if "zh-CN" in str(page.relative_to(ROOT))}


def blocks(page: Path) -> list[str]:
    """All blocks of code without their comments, which may be translated."""
    return [re.sub(r" +#.*", "", block) for _, _, block in FENCED.findall(page.read_text("utf-8"))]


def goals(page: Path) -> set[str]:
    """What the page links to, by the English page; headings of its own are named in its own language."""
    found = set()
    for link in links(page):
        path, _, anchor = unquote(link).partition("#")
        goal = (page.parent / path).resolve()
        if path and goal not in {*TRANSLATED, *TRANSLATED.values()}:
            found.add(f"{goal.relative_to(ROOT)}#{anchor}")
        elif path and TRANSLATED.get(goal, goal) != TRANSLATED.get(page, page):
            found.add(str(TRANSLATED.get(goal, goal).relative_to(ROOT)))
    return found


@pytest.mark.parametrize("chinese", TRANSLATED, ids=name)
def test_a_chinese_page_has_the_headings_the_code_and_the_links_of_the_english_one(chinese):
    english = TRANSLATED[chinese]
    levels = {
        page: [mark for mark, _ in HEADING.findall(FENCED.sub("", page.read_text("utf-8")))]
        for page in (english, chinese)
    }
    assert levels[chinese] == levels[english]
    assert blocks(chinese) == blocks(english)
    assert goals(chinese) == goals(english)


@pytest.mark.parametrize("chinese", TRANSLATED, ids=name)
def test_a_chinese_page_uses_one_word_for_one_thing(chinese):
    """目标 alone could be an objective (指标目标) or a target (被测服务器)."""
    text = prose(chinese.read_text("utf-8"))
    assert re.findall(r".{0,8}(?<!指标)目标.{0,4}", text) == []
    assert "离开套接字" not in text


def test_every_test_that_the_security_page_names_exists():
    text = (ROOT / "docs" / "security.md").read_text("utf-8")
    files = re.findall(r"`(tests/[\w/.-]+)`", text)
    assert [file for file in files if not (ROOT / file).exists()] == []
    known = "".join((ROOT / file).read_text("utf-8") for file in files)
    assert len(files) > 10
    assert [test for test in re.findall(r"`(test_\w+)`", text) if f"def {test}(" not in known] == []


def test_every_section_of_the_security_page_names_the_tests_of_its_promises():
    text = (ROOT / "docs" / "security.md").read_text("utf-8")
    sections = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    without = [section.partition("\n")[0] for section in sections if "\nTests: `tests/" not in section]
    assert without == ["Not promised"]


def first_cells(page: Path, heading: str) -> set[str]:
    """What the table under a heading lists."""
    section = re.search(rf"^#+ {heading}\n(.*?)(?=^#|\Z)", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)[
        1
    ]
    return set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE))


@pytest.mark.parametrize(
    ("page", "load", "monitor"), [("README.md", "Load", "Monitor"), ("README.zh-CN.md", "压测", "监控")]
)
def test_both_readmes_list_every_scenario_and_every_probe(page, load, monitor):
    assert first_cells(ROOT / page, load) == {file.stem for file in ROOT.glob("locustfiles/[!_]*.py")}
    assert first_cells(ROOT / page, monitor) == {file.stem for file in ROOT.glob("probes/[!_]*.py")}
