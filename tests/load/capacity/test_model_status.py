"""What model servers say of themselves -> how many requests they work on."""

import pytest

from astrometer.load.capacity.model_status import ModelStatus, parse
from astrometer.targets.serving import serve
from astrometer.targets.simulator.simulator_app import Simulator
from astrometer.targets.simulator.simulator_config import SimulatorConfig

VLLM = """
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="Qwen/Qwen3-8B"} 3.0
vllm:num_requests_waiting{engine="0",model_name="Qwen/Qwen3-8B"} 2.0
vllm:num_requests_waiting_by_reason{reason="capacity"} 2.0
"""
SGLANG = 'sglang:num_running_reqs{model_name="m"} 4.0\nsglang:num_queue_reqs{model_name="m"} 1.0\n'


@pytest.mark.parametrize(
    ("text", "running"),
    [('{"in_flight": 7}', 7), ('{"chats_in_flight": 2}', 2), (VLLM, 5), (SGLANG, 5)],
)
def test_each_kind_is_understood(text, running):
    assert parse(text) == running


@pytest.mark.parametrize("text", ["", "<html>", "[]", '{"in_flight": "many"}', "up 1\n"])
def test_anything_else_is_refused(text):
    with pytest.raises(ValueError, match="in_flight"):
        parse(text)


def test_a_model_that_cannot_be_asked_is_taken_for_idle_and_said_once(caplog):
    status = ModelStatus("http://127.0.0.1:9/stats")
    assert (status.running(), status.running()) == (0, 0)
    assert len([record for record in caplog.records if "cannot be read" in record.message]) == 1


def test_a_model_that_answers_is_believed_for_half_a_second():
    app = Simulator(SimulatorConfig())
    with serve(app) as url:
        status = ModelStatus(f"{url}/sim/stats")
        assert (status.running(), status.running()) == (0, 0)
        assert not status._has_failed
        elsewhere = ModelStatus(f"{url}/nowhere")
        assert elsewhere.running() == 0
        assert elsewhere._has_failed
