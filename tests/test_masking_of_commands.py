"""A command line that is shown in a report holds no secret."""

import pytest

from astrometer.masking import mask_command


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (["locust", "--slo", "ttft_p95 < 2s"], ["locust", "--slo", "ttft_p95 < 2s"]),
        (["--my-token", "abc", "-u", "3"], ["--my-token", "***", "-u", "3"]),
        (["--password=abc"], ["--password=***"]),
        (["--host", "http://me:pw@bot:6185/x"], ["--host", "http://***@bot:6185/x"]),
        (["--note", "key abk_12345678 here"], ["--note", "key *** here"]),
        # These name a place or a number, not a secret.
        (["--astrbot-key-file", "key.txt"], ["--astrbot-key-file", "key.txt"]),
        (["--budget-tokens", "5000"], ["--budget-tokens", "5000"]),
        (["--first-token-timeout", "5"], ["--first-token-timeout", "5"]),
        (["--api-key", "--users", "3"], ["--api-key", "--users", "3"]),
    ],
)
def test_secrets_are_masked_and_nothing_else(given, shown):
    assert mask_command(given, ["abk_12345678", ""]) == shown
