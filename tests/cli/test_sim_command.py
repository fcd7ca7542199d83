"""What `astrometer sim` says when it is ready."""

from astrometer.cli.sim import _page
from astrometer.targets.simulator.simulator_config import default_keys
from astrometer.targets.simulator.store import new_key

URL = "http://127.0.0.1:33195"


def test_the_keys_are_plain_lines_that_fit_a_terminal_of_80_columns():
    keys = {**default_keys(), "reader": new_key("config", "chat")}
    lines = _page(URL, "4.29.3", keys, f"{URL}/onebot")
    assert lines[0] == f"AstrBot 4.29.3, simulated, at {URL}"
    assert f"  chat     {keys['chat'].secret}" in lines
    assert f"  revoked  {keys['revoked'].secret}" in lines
    assert f"  reader   {keys['reader'].secret} (chat, config)" in lines
    assert not [line for line in lines if len(line) > 80 and not line.startswith("export ")]
