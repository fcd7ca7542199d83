"""The five dashboards -> grafana/dashboards/*.json. `--check` proves that they are up to date."""

import argparse
import sys
from pathlib import Path

import auth
import load_test
import overview
import slo
import streaming
from page import render

DASHBOARDS = Path(__file__).resolve().parents[1] / "dashboards"
PAGES = {
    "overview": overview.page,
    "streaming": streaming.page,
    "auth": auth.page,
    "slo": slo.page,
    "load_test": load_test.page,
}


def main(arguments: list[str] | None = None) -> int:
    """0 written or up to date, 1 out of date."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=DASHBOARDS, metavar="DIR", help="where the JSON goes")
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a file differs")
    options = parser.parse_args(arguments)
    built = {f"{name}.json": render(page()) for name, page in PAGES.items()}
    stale = [name for name, text in built.items() if _read(options.out / name) != text]
    if options.check:
        for name in stale:
            print(
                f"{options.out / name} is out of date: run python grafana/build/dashboards.py",
                file=sys.stderr,
            )
        return 1 if stale else 0
    options.out.mkdir(parents=True, exist_ok=True)
    for name in stale:
        (options.out / name).write_text(built[name], "utf-8")
    print(f"{options.out}: {', '.join(stale) or 'nothing'} written")
    return 0


def _read(path: Path) -> str | None:
    return path.read_text("utf-8") if path.is_file() else None


if __name__ == "__main__":
    sys.exit(main())
