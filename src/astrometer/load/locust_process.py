"""`python -m astrometer.load.locust_process ARGUMENTS`: Locust as astrometer's commands start it.

The arguments are Locust's, and so is nearly everything that happens. What differs from `locust ARGUMENTS`:

* The working directory does not come first on the module path, and all that we need is imported before the
  locustfile: a `httpx.py` beside it is the locustfile's business alone.
* What a `locust.conf`, a LOCUST_ or an ASTROMETER_ variable says of things that astrometer decides is left
  out, and named. What the command itself took from a variable is among the arguments.
* A locustfile that nobody could measure is refused in one sentence.
"""

import importlib.machinery
import importlib.util
import os
import sys
from collections import OrderedDict
from pathlib import Path
from typing import Any

import locust.main
from locust import argument_parser
from locust.util.load_locustfile import is_shape_class, is_user_class

from astrometer.load.locust_plugin import brought_along, plugin  # noqa: F401 (registers our arguments, whatever the locustfile imports)
from astrometer.load.options import OPTIONS

# Long names of what a plan decides, by saying it or by leaving it out: Locust's options, and ours.
DECIDED = frozenset(
    {
        "autoquit",
        "autostart",
        "exit-code-on-error",
        "expect-workers",
        "expect-workers-max-wait",
        "headful",
        "headless",
        "host",
        "list",
        "locustfile",
        "logfile",
        "master",
        "master-bind-host",
        "master-bind-port",
        "master-host",
        "master-port",
        "only-summary",
        "processes",
        "run-time",
        "show-task-ratio",
        "show-task-ratio-json",
        "skip-log-setup",
        "spawn-rate",
        "stop-timeout",
        "users",
        "web-host",
        "web-port",
        "worker",
    }
) | frozenset(flag.removeprefix("--") for entry in OPTIONS.values() if entry.of_plan for flag in entry.flags)


def main() -> None:
    sys.argv[0] = "locust"
    _leave_out_of_files()
    _leave_out_of_environment()
    program: Any = locust.main  # not typed
    program.load_locustfile = load_locustfile
    if brought_along.left_out:
        names = ", ".join(f"{name} ({where})" for name, where in sorted(brought_along.left_out))
        sys.stderr.write(f"Not used, since astrometer's own options decide it: {names}\n")
    program.main()


def load_locustfile(path: str) -> tuple[dict[str, Any], list[Any]]:
    """As Locust's own; but the working directory is the last place to import from, not the first."""
    folder, name = os.path.split(path)
    module = name.removesuffix(".py")
    if module in sys.modules:  # a locust.py, or a json.py
        module = f"locustfile_{module}"
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)
    before = sys.path[:]
    sys.path.insert(0, folder)
    try:
        loader = importlib.machinery.SourceFileLoader(module, path)
        spec = importlib.util.spec_from_file_location(module, path, loader=loader)
        assert spec is not None
        imported = importlib.util.module_from_spec(spec)
        sys.modules[module] = imported
        loader.exec_module(imported)
    finally:
        if sys.path[:1] == [folder]:
            sys.path[:] = before
    found = vars(imported)
    users = {name: value for name, value in found.items() if is_user_class(value)}
    return users, [value() for value in found.values() if is_shape_class(value)]


def _leave_out_of_files() -> None:
    """Locust reads ~/.locust.conf, ./locust.conf and ./pyproject.toml [tool.locust], each of them often."""
    files: Any = argument_parser.LocustConfigParser  # not typed
    read = files.parse

    def parse(self: Any, stream: Any) -> Any:
        kept = OrderedDict()
        for key, value in read(self, stream).items():
            name = key.lstrip("-").replace("_", "-")
            if name in DECIDED:
                brought_along.left_out.add((name, stream.name))
            else:
                brought_along.kept[name] = stream.name
                kept[key] = value
        return kept

    files.parse = parse


def _leave_out_of_environment() -> None:
    parser = argument_parser.get_parser()
    for action in parser._actions:  # noqa: SLF001 (argparse has no public list)
        names = {flag.lstrip("-") for flag in action.option_strings if flag.startswith("--")}
        variable = getattr(action, "env_var", None) or ""
        if variable.startswith(("LOCUST_", "ASTROMETER_")) and variable in os.environ:
            if names & DECIDED:
                del os.environ[variable]
                if variable.startswith("LOCUST_") or not set(action.option_strings) & set(sys.argv):
                    brought_along.left_out.add((variable, "environment"))
            elif variable.startswith("LOCUST_"):
                for name in names:
                    brought_along.kept[name] = variable
    parser.parse_known_args([])  # reads the files, and so tells what is in them


if __name__ == "__main__":
    main()
