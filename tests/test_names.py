"""Names say one thing: no two classes of one name, and no two modules of one basename."""

import ast
from collections import Counter
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "src" / "astrometer"
MODULES = sorted(PACKAGE.rglob("*.py"))


def repeated(names):
    return sorted(name for name, count in Counter(names).items() if count > 1)


def test_no_two_classes_have_one_name():
    classes = [
        node.name
        for file in MODULES
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    ]
    assert repeated(classes) == []


def test_no_two_modules_have_one_basename():
    """Commands are named as they are typed."""
    files = [file.name for file in MODULES if file.parent != PACKAGE / "cli"]
    assert repeated(name for name in files if not name.startswith("__")) == []


def test_at_most_one_function_is_called_judge():
    functions = [
        node.name
        for file in MODULES
        for node in ast.parse(file.read_text("utf-8")).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    assert functions.count("judge") <= 1
