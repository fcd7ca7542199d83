"""What people call a side."""

from pathlib import Path

import pytest

from astrometer.release.sides import SideSpec
from astrometer.targets.sandbox.astrbot_plugin import AstrBotPlugin
from astrometer.targets.sandbox.config_patch import ConfigPatch

SLEEPY, OTHER = (AstrBotPlugin(name=name, path=Path("/nowhere")) for name in ("sleepy", "other"))
FAST = ConfigPatch(name="fast.json", values={"t2i": True})


@pytest.mark.parametrize(
    ("spec", "label"),
    [
        (SideSpec(astrbot="4.29.3"), "4.29.3"),
        (SideSpec(astrbot="../AstrBot"), "4.29.3 (AstrBot)"),
        (SideSpec(astrbot="4.29.3", plugins=[SLEEPY, OTHER]), "4.29.3 + plugin sleepy + plugin other"),
        (SideSpec(astrbot="./AstrBot", plugins=[SLEEPY], config_patch=FAST),
         "4.29.3 (AstrBot) + plugin sleepy + config fast.json"),
    ],
)  # fmt: skip
def test_a_label_says_all_that_differs(spec, label):
    assert spec.label("4.29.3") == label
