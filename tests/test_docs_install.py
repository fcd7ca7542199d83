"""Installing as the pages say: from this repository, and never into a Python that the system owns."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("deploy/**/*.md")])
FENCED = re.compile(r"^ *```\w*\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
PIP = re.compile(r"^.*\bpip3? install\b.*$", re.MULTILINE)
# A stranger may take the name `astrometer` on an index: only a tag of the repository is ours.
AT_A_TAG = re.compile(r"git\+https://\S+@v\d")
OWN_PYTHON = re.compile(r"activate|-m venv|/bin/pip install|setup-python|image: *[\"']?python")


def problems(page_text: str) -> list[str]:
    """What is wrong with each `pip install` of a page (Debian 12 refuses those outside a venv)."""
    found = []
    for block in FENCED.findall(page_text):
        for command in PIP.findall(block):
            if re.search(r"install (-\S+ )*[\"']?astrometer\b", command):
                found.append(f"from an index: {command.strip()}")
            elif "git+" in command and not AT_A_TAG.search(command):
                found.append(f"at no tag: {command.strip()}")
            elif not OWN_PYTHON.search(block):
                found.append(f"outside a venv: {command.strip()}")
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_install_of_a_page_works_and_is_ours(page):
    assert problems(page.read_text("utf-8")) == []


def test_no_page_and_no_message_names_our_package_on_an_index():
    texts = [*PAGES, *ROOT.glob("src/**/*.py")]
    asked = re.compile(r"pip3? install (-\S+ )*[\"'`]*astrometer\b(?!/)")
    assert [str(path.relative_to(ROOT)) for path in texts if asked.search(path.read_text("utf-8"))] == []


@pytest.mark.parametrize(
    ("block", "problem"),
    [
        ("$ pip install astrometer\n", "from an index"),
        ('run: pip install "astrometer==0.1"\n', "from an index"),
        ("$ . .venv/bin/activate\n$ pip install git+https://host/o/astrometer\n", "at no tag"),
        ("$ pip install .\n", "outside a venv"),
    ],
)
def test_what_would_fail_or_install_a_strangers_package_is_found(block, problem):
    assert problems(f"```console\n{block}```\n")[0].startswith(problem)
