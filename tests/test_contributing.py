"""CONTRIBUTING.md is true: its places exist, each is held by a test, and forgetting one is noticed."""

import ast
import re
from pathlib import Path

import pytest

from astrometer.api.outcome import Outcome
from astrometer.config import tables
from astrometer.load.options import OPTIONS
from astrometer.measure.slo.validity import CauseKind
from astrometer.wire.tls import VARIABLES as TLS

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
GUIDES = re.split(r"^### ", TEXT.partition("## To add ...")[2].partition("\n## ")[0], flags=re.MULTILINE)[1:]
WAYS_TEXT = (ROOT / "docs/explanation/ways-through-the-code.md").read_text("utf-8")
WAYS = re.findall(r"^- (.*?)(?=^- |^## |\Z)", WAYS_TEXT, flags=re.MULTILINE | re.DOTALL)
PACKAGE = ROOT / "src/astrometer"
SOURCES = {path: path.read_text("utf-8") for path in (ROOT / "src").rglob("*.py")}


def steps(guide: str) -> list[list[str]]:
    """The numbered lists of a guide; a list begins at 1."""
    lists: list[list[str]] = []
    for number, step in re.findall(r"^(\d+)\. (.*?)(?=^\d+\. |^\S|\Z)", guide, re.MULTILINE | re.DOTALL):
        if number == "1":
            lists.append([])
        lists[-1].append(step)
    return lists


def title(guide: str) -> str:
    return guide.partition("\n")[0]


def test_what_is_added_most_often_has_a_guide():
    asked = ["outcome", "INVALID", "option", "probe", "scenario", "metric", "panel", "alert", "config"]
    assert [word for word in asked if word not in " ".join(map(title, GUIDES))] == []


@pytest.mark.parametrize("guide", GUIDES, ids=title)
def test_a_guide_is_at_most_five_places_long_and_each_is_held_by_a_test(guide):
    assert steps(guide)
    for places in steps(guide):
        assert len(places) <= 5
        for place in places:
            (test,) = re.findall(r"Test:\s+`(tests/[\w/]+\.py)`", place)
            assert (ROOT / test).exists(), test


def test_every_place_exists():
    named = re.findall(r"`([\w.-]+/[\w/.-]+|[A-Z][\w.-]+\.md)`", TEXT + WAYS_TEXT)
    roots = (ROOT, PACKAGE)
    assert [
        place for place in named if "NAME" not in place and not any((r / place).exists() for r in roots)
    ] == []


def defined_in(code: str) -> set[str]:
    """What is written there: a stub, whose body is `...` alone, is not."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(code)):
        match node:
            case ast.FunctionDef(body=[ast.Expr(ast.Constant(value))]) if value is ...:
                continue
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                found.add(name)
            case ast.Assign(targets=[ast.Name(name)]):
                found.add(name)
    return found


@pytest.mark.parametrize("way", WAYS, ids=lambda way: re.findall(r"\*\*(.*?)\*\*", way)[0])
def test_what_a_way_through_the_code_names_is_in_that_file(way):
    stations = re.findall(r"`([\w/]+\.py)`\s+\((.*?)\)", way, re.DOTALL)
    assert len(stations) == len(re.findall(r"`[\w/]+\.py`", way)) <= 9
    for file, text in stations:
        names = re.findall(r"`(\w+)`", text)
        assert names
        assert {*names} - defined_in((PACKAGE / file).read_text("utf-8")) == set(), file


def test_every_folder_on_the_map_exists_and_none_is_missing():
    drawn = set(re.findall(r"^src/astrometer/(\w+)/", TEXT, re.MULTILINE))
    packages = {path.parent.name for path in (ROOT / "src/astrometer").glob("*/__init__.py")}
    assert drawn == packages


def test_every_make_target_in_it_exists():
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for target in re.findall(r"`make ([\w-]+)`|^\$ make ([\w-]+)", TEXT, re.MULTILINE):
        assert re.search(rf"^{''.join(target)}:", makefile, re.MULTILINE), target


@pytest.mark.parametrize("outcome", Outcome, ids=lambda outcome: outcome.value)
def test_every_outcome_is_given_by_some_rule_and_expected_by_some_test(outcome):
    given = rf'Outcome\.{outcome.name}\b(?!: Layer)|, "{outcome.value}"\)'  # by a rule, or by a sentence
    assert any(re.search(given, text) for text in SOURCES.values()), "no rule gives it"
    expected = rf'Outcome\.{outcome.name}\b|"{outcome.value}"'
    tests = [path.read_text("utf-8") for path in (ROOT / "tests").rglob("test_*.py")]
    assert any(re.search(expected, text) for text in tests), "no test expects it: tests/api/test_outcome.py"


@pytest.mark.parametrize("kind", CauseKind, ids=lambda kind: kind.value)
def test_every_cause_is_found_by_some_code(kind):
    finds = rf"(GeneratorLimit\(|\bCause\(\s*kind=)CauseKind\.{kind.name}\b"
    texts = [text for path, text in SOURCES.items() if path.stem != "cause_sentences"]
    assert any(re.search(finds, text) for text in texts), "src/astrometer/measure/slo/validity.py"


@pytest.mark.parametrize("name", OPTIONS)
def test_every_option_of_a_run_is_used(name):
    used = any(re.search(rf"\.({name}|{OPTIONS[name].dest})\b", text) for text in SOURCES.values())
    assert used or name in TLS, f"nothing in src reads settings.{name}"


@pytest.mark.parametrize(
    "table",
    [
        *(tables.KeyTable, tables.TargetTable, tables.MessengerTable, tables.BudgetTable, tables.ProbeTable),
        *(tables.SloTable, tables.ExporterTable, tables.NotifyTable, tables.FileTable),
    ],
)
def test_every_key_of_the_config_becomes_a_setting(table):
    texts = [text for path, text in SOURCES.items() if path.parent.name == "config" and path.stem != "tables"]
    lost = [key for key in table.model_fields if not re.search(rf"\b{key}(_s)?\b", "\n".join(texts))]
    assert lost == [], "src/astrometer/config/settings.py and loader.py"


@pytest.mark.parametrize("probe", sorted(file.stem for file in ROOT.glob("probes/[!_]*.py")))
def test_every_probe_has_a_test_in_which_it_fails(probe):
    texts = [path.read_text("utf-8") for path in (ROOT / "tests/probes").glob("test_*fail*.py")]
    assert any(f'"{probe}"' in text for text in texts), "tests/probes/test_our_probes_fail.py"


@pytest.mark.parametrize("scenario", sorted(file.stem for file in ROOT.glob("locustfiles/[!_]*.py")))
def test_every_scenario_is_run_by_a_test(scenario):
    texts = [path.read_text("utf-8") for path in (ROOT / "tests/locustfiles").glob("test_*.py")]
    assert any(f'"{scenario}"' in text for text in texts), "tests/locustfiles/test_locustfiles.py"
