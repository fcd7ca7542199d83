"""Hosts, nesting and numbers that no configuration should have: an error with its place, no traceback."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astrometer.api.endpoints import parse_version
from astrometer.config.loader import load
from astrometer.config.settings import ConfigError
from astrometer.config.target_access import target_from_options
from astrometer.load.transport.load_connection import Origin


@pytest.mark.parametrize(
    "url",
    [
        "http://[::1", "http://a..b", "http://*", "http://", "http://a b", "http://a\0b", "http://a\nb",
        "http://" + "x" * 64 + ".example", "http://" + "ab." * 100 + "c", "http://-a.example", "http://a:0",
        "http://a:99999", "http://a:x", "http://[zz]", "http://[fe80::1%25]", "http://\udc80", "http://a/\ud800",
        "ftp://a", "http://a\u202eb", "http://xn--a.invalid",
    ],
)  # fmt: skip
def test_an_odd_host_is_a_config_error_that_can_be_printed(url):
    with pytest.raises(ConfigError) as error:
        target_from_options(url, {})
    str(error.value).encode()


@pytest.mark.parametrize(
    ("url", "used"),
    [
        ("http://Bücher.example/", "http://xn--bcher-kva.example"),
        ("http://astr_bot:6185", "http://astr_bot:6185"),
        ("http://[::1]:6185/x/", "http://[::1]:6185/x"),
        ("http://a.example/päth", "http://a.example/p%C3%A4th"),
        ("http://a.example/p%20q", "http://a.example/p%20q"),
    ],
)
def test_what_is_asked_for_is_ascii(url, used):
    assert target_from_options(url, {}).url == used


@given(st.text(max_size=60), st.sampled_from(["", "http://", "https://", "http://["]))
def test_no_url_breaks_it(text, scheme):
    try:
        url = target_from_options(scheme + text, {}).url
    except ConfigError as exc:
        str(exc).encode()
        return
    origin = Origin.of(url)
    f"{origin.authority}{origin.prefix}".encode("ascii")


@pytest.mark.parametrize("value", ["[" * 5000 + "]" * 5000, "1" * 5000, "{a=" * 2000])
def test_deep_or_endless_toml_is_a_config_error(tmp_path, value):
    file = tmp_path / "a.toml"
    file.write_text(f"x = {value}\n")
    with pytest.raises(ConfigError, match="is not valid TOML"):
        load(file, {})


@pytest.mark.parametrize("text", ["9" * 5000 + ".1.2", "4.29", "4.29.3\0", "٤.٢.٣", "4.29.3 --x", ""])
def test_what_is_no_version_is_a_short_value_error(text):
    with pytest.raises(ValueError) as error:
        parse_version(text)
    assert len(str(error.value)) < 120
