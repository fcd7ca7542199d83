import signal
import sys

import httpx
import pytest

from astrometer.targets.sandbox.server_process import Child, ChildError, answers_json, free_port, wait_until

pytestmark = pytest.mark.process


def child(tmp_path, program, **environment):
    return Child(
        [sys.executable, "-c", program], cwd=tmp_path, log=tmp_path / "child.log", environment=environment
    )


def test_one_that_dies_early_is_reported_with_its_last_words_but_no_secret(tmp_path):
    talker = child(
        tmp_path, "print('key abk_s3cret-x, Password: hunter2'); print('port taken'); raise SystemExit(3)"
    )
    with pytest.raises(ChildError, match=r"(?s)the thing ended \(exit 3\).*port taken") as caught:
        wait_until(lambda: False, talker, timeout_s=10, what="the thing")
    assert "s3cret" not in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_one_that_is_not_ready_in_time_is_reported(tmp_path):
    sleeper = child(tmp_path, "import time; time.sleep(60)")
    with pytest.raises(ChildError, match=r"not ready after 0\.2 s"):
        wait_until(lambda: False, sleeper, timeout_s=0.2, what="the thing")
    sleeper.end()
    assert sleeper.process.returncode == -signal.SIGTERM


def test_one_that_ignores_sigterm_is_killed(tmp_path):
    program = (
        "import signal, time; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
    )
    deaf = child(tmp_path, program)
    wait_until(lambda: "deaf" in deaf.log_tail(), deaf, timeout_s=10, what="it")
    deaf.end(patience_s=0.1)
    assert deaf.process.returncode == -signal.SIGKILL
    deaf.kill()  # a dead one is left alone


def test_the_callers_secrets_do_not_reach_a_child(tmp_path, monkeypatch):
    monkeypatch.setenv("ASTRBOT_API_KEY", "abk_secret")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example")
    teller = child(tmp_path, "import os; print(sorted(os.environ))", MINE="1")
    teller.process.wait(10)
    assert "MINE" in teller.log_tail()
    assert "ASTRBOT_API_KEY" not in teller.log_tail()
    assert "PROXY" not in teller.log_tail()


def test_nobody_answers_on_a_free_port():
    with httpx.Client() as client:
        assert not answers_json(client, f"http://127.0.0.1:{free_port()}/")
