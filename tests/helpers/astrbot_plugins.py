"""Folders with plugins of AstrBot, written for a test."""

EMPTY = """from astrbot.api.star import Star


class Empty(Star):
    pass
"""


def write_plugin(folder, name="astrbot_plugin_empty", main=EMPTY, requirements=None):
    folder.mkdir(parents=True, exist_ok=True)
    facts = f"name: {name}\ndesc: For a test.\nversion: v1.0.0\nauthor: astrometer\n"
    (folder / "metadata.yaml").write_text(f"{facts}repo: https://example.invalid/{name}\n")
    (folder / "main.py").write_text(main)
    if requirements is not None:
        (folder / "requirements.txt").write_text(requirements)
    return folder
