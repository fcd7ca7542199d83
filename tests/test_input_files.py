"""Files that a person names: odd beginnings, endless ones."""

import os

import pytest

from astrometer.config.loader import load
from astrometer.config.settings import ConfigError
from astrometer.config.target_access import target_from_options
from astrometer.input_files import TooLargeError, read_bounded
from astrometer.probing.exporter.web_config import load_web_config

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def test_a_byte_order_mark_is_no_part_of_a_configuration_or_key(tmp_path):
    (tmp_path / "key").write_bytes(BYTE_ORDER_MARK + b"abk_1\r\n")
    file = tmp_path / "a.toml"
    file.write_bytes(
        BYTE_ORDER_MARK + b'[targets.a]\r\nurl = "http://127.0.0.1:1"\r\nkeys.chat = { file = "key" }\r\n'
    )
    assert load(file, {}).targets["a"].keys["chat"].secret.reveal() == "abk_1"


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="no endless file")  # noqa: PTH110
def test_an_endless_file_is_refused_before_it_fills_the_memory(tmp_path):
    endless = tmp_path / "endless"
    endless.symlink_to("/dev/zero")
    for read in (
        lambda: load(endless, {}),
        lambda: target_from_options("http://a", {"ASTRBOT_API_KEY_FILE": str(endless)}),
        lambda: load_web_config(endless),
    ):
        with pytest.raises(ConfigError, match="cannot be read \\(larger than 16 MB\\)"):
            read()


def test_a_file_as_large_as_is_allowed_is_read(tmp_path):
    file = tmp_path / "file"
    file.write_bytes(b"x" * 10)
    assert read_bounded(file, 10) == b"x" * 10
    with pytest.raises(TooLargeError):
        read_bounded(file, 9)
