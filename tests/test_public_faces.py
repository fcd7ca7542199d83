"""`astrometer.load` and `astrometer.probing`: all that locustfiles and probes need of us."""

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FACES = {
    "astrometer.load": ("locustfiles", "docs/how-to/write-a-locustfile.md"),
    "astrometer.probing": ("probes", "docs/how-to/write-a-probe.md"),
}
# Locust's inside: names that begin with an underscore, and modules whose parts are replaced.
MAY_TOUCH_LOCUST = {
    "locust_plugin/locust_patches.py",
    "locust_plugin/master_gone.py",
    "schedule/open_model.py",
}
ARGPARSES_INSIDE = {"locust_plugin/brought_along.py", "locust_process.py"}
GEVENTS_INSIDE = {"transport/link.py"}
LOCUSTS_INSIDE = {"locust.rpc", "locust.stats"}


def imports(file):
    """(module, name) of each import; a name is None where a whole module is imported."""
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom):
            yield from ((node.module, alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)


@pytest.mark.parametrize(("face", "folder"), [(face, where[0]) for face, where in FACES.items()])
def test_files_to_copy_use_their_face_and_nothing_else_of_ours(face, folder):
    offered = set(dir(importlib.import_module(face)))
    for file in sorted((ROOT / folder).glob("*.py")):
        ours = {(module, name) for module, name in imports(file) if module.split(".")[0] == "astrometer"}
        assert {module for module, _ in ours} <= {face}, file.name
        assert {name for _, name in ours} <= offered, file.name


@pytest.mark.parametrize(("face", "page"), [(face, where[1]) for face, where in FACES.items()])
def test_the_page_lists_every_name_of_the_face_and_no_other(face, page):
    section = (ROOT / page).read_text("utf-8").split("## The stable surface", 1)[1].split("\n## ", 1)[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    listed = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert listed == set(dir(importlib.import_module(face)))


@pytest.mark.process
@pytest.mark.parametrize("face", FACES)
def test_every_name_of_a_face_is_there(face):
    code = f"import {face} as face; [getattr(face, name) for name in dir(face)]"
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, timeout=60)


@pytest.mark.process
@pytest.mark.parametrize("face", FACES)
def test_a_face_alone_imports_neither_locust_nor_gevent(face):
    code = (
        f"import sys; import {face} as face; face.Plain; face.Attachment; dir(face)\n"
        "loaded = {'locust', 'gevent'} & set(sys.modules); assert not loaded, loaded"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_only_three_modules_reach_into_locust():
    package = ROOT / "src" / "astrometer" / "load"
    for file in sorted(package.rglob("*.py")):
        name = file.relative_to(package).as_posix()
        if name not in MAY_TOUCH_LOCUST:
            assert name in ARGPARSES_INSIDE | GEVENTS_INSIDE or "SLF001" not in file.read_text("utf-8"), (
                name
            )  # ruff finds private names; here is no exception
            inside = {f"{module}.{part}" for module, part in imports(file) if module == "locust"}
            inside |= {module for module, _ in imports(file)}
            assert not inside & LOCUSTS_INSIDE, name
