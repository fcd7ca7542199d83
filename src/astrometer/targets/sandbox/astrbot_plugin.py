"""A folder with an AstrBot plugin -> its name and requirements, and whether a server loaded it."""

import keyword
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from astrometer.targets.sandbox.provision import Dashboard
from astrometer.targets.sandbox.server_process import SECRET

METADATA = "metadata.yaml"
NOT_PLUGIN = (".git", ".venv", "venv", "node_modules", "__pycache__", "astrometer-results")


class PluginError(ValueError):
    """A folder that is not a plugin, or a plugin that AstrBot did not load; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AstrBotPlugin:
    """`name`: from its metadata. AstrBot calls the folder in `data/plugins` so."""

    name: str
    path: Path  # absolute

    @property
    def requirements(self) -> Path | None:
        file = self.path / "requirements.txt"
        return file if file.is_file() else None

    def copy_into(self, plugins: Path) -> None:
        """Later changes of the folder do not matter."""
        shutil.copytree(self.path, plugins / self.name, ignore=shutil.ignore_patterns(*NOT_PLUGIN))


def read_plugin(path: Path) -> AstrBotPlugin:
    """Raises PluginError."""
    path = path.expanduser().absolute()
    if not path.is_dir():
        raise PluginError(f"{path}: expected the folder of a plugin")
    for needed in (METADATA, "main.py"):
        if not (path / needed).is_file():
            raise PluginError(f"{path}: has no {needed}; expected the folder of an AstrBot plugin")
    file = path / METADATA
    try:
        metadata = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as exc:
        raise PluginError(f"{file}: cannot be read as YAML: {exc}") from exc
    name = metadata.get("name") if isinstance(metadata, dict) else None
    # AstrBot's own rule (PluginManager._validate_importable_name): Python imports the folder by this name.
    if not isinstance(name, str) or not name.isidentifier() or keyword.iskeyword(name):
        raise PluginError(f"{file}: name {name!r}: expected a Python identifier, as in astrbot_plugin_hello")
    return AstrBotPlugin(name=name, path=path)


def refuse_twins(plugins: Sequence[AstrBotPlugin]) -> None:
    """Raises PluginError where two have one name."""
    names = [plugin.name for plugin in plugins]
    for plugin in plugins:
        if names.count(plugin.name) > 1:
            raise PluginError(f"{plugin.path}: another plugin is called {plugin.name}, too")


def check_loaded(dashboard: Dashboard, plugin: AstrBotPlugin, version: str) -> None:
    """Raises PluginError with AstrBot's own words where it did not load the plugin."""
    failed = dashboard.call("GET", "/api/plugin/source/get-failed-plugins")
    why = failed.get(plugin.name)
    if why is None and any(each["name"] == plugin.name for each in dashboard.call("GET", "/api/plugin/get")):
        return
    told = "it names no reason; see its log" if why is None else f"{why['error']}\n{why['traceback'].strip()}"
    raise PluginError(
        f"AstrBot {version} did not load the plugin {plugin.name}: {SECRET.sub('***', told[-3000:])}"
    )
