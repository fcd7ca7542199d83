"""The report in a real Chromium: it opens offline, complains about nothing, and shows its verdict."""

import os
import re
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from astrometer.report.html import render_html

pytestmark = [pytest.mark.browser, pytest.mark.process]
CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
LIGHT, DARK = "1", "0"  # Blink's preferredColorScheme


@pytest.fixture(scope="module", autouse=True)
def needs_chromium():
    if CHROMIUM is None:
        if "browser" in os.environ.get("ASTROMETER_REQUIRE", ""):
            pytest.fail("Chromium is required (ASTROMETER_REQUIRE) and not installed")
        pytest.skip("Chromium is not installed")


def chromium(page: Path, profile: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            "--hide-scrollbars", "--enable-logging=stderr", f"--user-data-dir={profile}",
            # Offline: every name resolves to nothing.
            "--host-resolver-rules=MAP * ~NOTFOUND", *flags, page.as_uri(),
        ],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip


def complaints(stderr: str) -> list[str]:
    """What the page itself made Chromium say, not its own housekeeping."""
    return [
        line for line in stderr.splitlines() if "CONSOLE" in line or "net_error" in line or "ERR_" in line
    ]


def png_size(path: Path) -> tuple[int, int]:
    return struct.unpack(">II", path.read_bytes()[16:24])


@pytest.mark.parametrize("kind", ["passed", "invalid", "empty"])
def test_the_verdict_is_in_the_page_that_the_browser_built(kind, request, tmp_path):
    results = request.getfixturevalue(kind)
    page = tmp_path / "report.html"
    page.write_text(render_html(results), "utf-8")
    done = chromium(page, tmp_path / "profile", "--dump-dom")
    assert re.search(rf"<h1>{results['verdict']}</h1>", done.stdout)
    assert complaints(done.stderr) == []


def test_a_page_that_asked_for_anything_would_be_caught(passed, tmp_path):
    page = tmp_path / "report.html"
    page.write_text(render_html(passed), "utf-8")
    page.write_text(page.read_text("utf-8").replace("<main>", '<main><img src="http://elsewhere.invalid/x">'))
    done = chromium(page, tmp_path / "profile", "--dump-dom")
    assert any("elsewhere.invalid" in line for line in complaints(done.stderr))


@pytest.mark.parametrize("scheme", [LIGHT, DARK])
def test_it_is_painted_light_and_dark(passed, tmp_path, scheme):
    page, shot = tmp_path / "report.html", tmp_path / "shot.png"
    page.write_text(render_html(passed), "utf-8")
    chromium(
        page, tmp_path / "profile", "--window-size=1280,900", f"--screenshot={shot}",
        f"--blink-settings=preferredColorScheme={scheme}",
    )  # fmt: skip
    assert png_size(shot) == (1280, 900)
    assert shot.stat().st_size > 20_000


def test_nothing_is_wider_than_a_phone(passed, tmp_path):
    """A frame of 375 px reports, by script of the frame's owner, how wide its content wants to be."""
    page, outer = tmp_path / "report.html", tmp_path / "phone.html"
    page.write_text(render_html(passed), "utf-8")
    outer.write_text(
        '<body><iframe id="f" src="report.html" style="width:375px;height:700px;border:0"></iframe>'
        "<p id=out></p><script>onload=()=>{const d=f.contentDocument.documentElement;"
        "out.textContent=`wants ${d.scrollWidth} of ${d.clientWidth}`}</script>"
    )
    done = chromium(outer, tmp_path / "profile", "--allow-file-access-from-files", "--dump-dom")
    assert "wants 375 of 375" in done.stdout


def test_an_objective_with_an_error_fits_a_phone(passed, tmp_path):
    """Its table could be scrolled sideways; nobody would see that there is more."""
    first, *rest = passed["objectives"]
    results = {**passed, "objectives": [{**first, "verdict": "INVALID", "error_s": 0.0809}, *rest]}
    page, outer = tmp_path / "report.html", tmp_path / "phone.html"
    page.write_text(render_html(results), "utf-8")
    outer.write_text(
        '<body><iframe id="f" src="report.html" style="width:400px;height:700px;border:0"></iframe>'
        "<p id=out></p><script>onload=()=>{const t=f.contentDocument.querySelector('.objectives');"
        "const cut=t.offsetWidth > t.parentElement.clientWidth, error=t.innerText.includes('±');"
        "out.textContent=`cut off: ${cut}, ${error}`}</script>"
    )
    done = chromium(outer, tmp_path / "profile", "--allow-file-access-from-files", "--dump-dom")
    assert "cut off: false, true" in done.stdout


def test_it_prints(passed, tmp_path):
    page, paper = tmp_path / "report.html", tmp_path / "report.pdf"
    page.write_text(render_html(passed), "utf-8")
    chromium(page, tmp_path / "profile", f"--print-to-pdf={paper}", "--no-pdf-header-footer")
    assert paper.read_bytes().startswith(b"%PDF")
    assert 2 <= len(re.findall(rb"/Type\s*/Page\b", paper.read_bytes())) <= 12
