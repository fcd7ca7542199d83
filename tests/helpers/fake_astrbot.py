"""A project that calls itself AstrBot and installs in a moment, without an index: it builds itself."""

import subprocess

_PYPROJECT = """[project]
name = "AstrBot"
version = "{version}"

[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""
_BACKEND = r"""import pathlib, tomllib, zipfile

ROOT = pathlib.Path(__file__).parent


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    version = project["version"].replace("-beta.", "b")
    info, name = f"astrbot-{version}.dist-info", f"astrbot-{version}-py3-none-any.whl"
    files = {
        "astrbot.py": (ROOT / "astrbot.py").read_text(),
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: AstrBot\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: fake\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": "[console_scripts]\nastrbot = astrbot:main\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{file},,\n" for file in (*files, f"{info}/RECORD"))
    with zipfile.ZipFile(pathlib.Path(wheel_directory) / name, "w") as wheel:
        for file, text in files.items():
            wheel.writestr(file, text)
    return name
"""


def checkout(path, *, version="4.30.0", says="one"):
    """A checkout whose `astrbot` command prints `says`."""
    path.mkdir(parents=True)
    (path / "pyproject.toml").write_text(_PYPROJECT.format(version=version))
    (path / "backend.py").write_text(_BACKEND)
    edit(path, says)
    return path


def edit(path, says):
    (path / "astrbot.py").write_text(f"def main():\n    print({says!r})\n")


def says(installation):
    """What the installed command prints."""
    return subprocess.run([installation.astrbot], capture_output=True, text=True, check=True).stdout.strip()
