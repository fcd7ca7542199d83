import pytest
from hypothesis import given
from hypothesis import strategies as st

from astrometer.api.call_exchange import KIB, CallResult, UploadTimes
from astrometer.api.outcome import Outcome
from astrometer.measure.results.document import build
from astrometer.measure.results.run_info import RunInfo
from astrometer.measure.tally.histogram import Histogram
from astrometer.measure.tally.tally import Tally
from astrometer.measure.tally.uploads import NAMES, throughput, up_to_bytes
from astrometer.measure.tally.windows import Window

NOW = 0.0  # since the run began


def sent(file_bytes, *, outcome=Outcome.OK, transfer_s=0.5, accept_s=0.1):
    upload = UploadTimes(file_bytes=file_bytes, transfer_s=transfer_s, accept_s=accept_s)
    return CallResult(outcome=outcome, duration_s=0.6, bytes_sent=(file_bytes or 0) + 250, upload=upload)


def tally_of(*turns, operation="upload"):
    tally = Tally()
    for turn in turns:
        tally.started("uploads", operation, NOW)
        tally.finished("uploads", operation, NOW, turn)
    return tally


def built(tally):
    return build(tally, RunInfo(scenario="uploads", url="u", start=NOW, duration_s=10.0))


@pytest.mark.parametrize(
    ("file_bytes", "name"),
    [
        (0, "up to 64 KiB"),
        (64 * KIB, "up to 64 KiB"),
        (64 * KIB + 1, "up to 1 MiB"),
        (1024 * KIB, "up to 1 MiB"),
        (16 * 1024 * KIB, "up to 16 MiB"),
        (16 * 1024 * KIB + 1, "larger"),
    ],
)
def test_a_file_belongs_to_the_smallest_class_that_holds_it(file_bytes, name):
    number = UploadTimes(file_bytes=file_bytes).size_class
    assert NAMES[number] == name
    limit = up_to_bytes(number)
    assert limit is None or file_bytes <= limit


def test_throughput_is_the_file_by_the_time_to_the_answer():
    speed = throughput(Histogram(sent(5_000_000).metrics()["upload_pace"] * 20))
    assert speed["p50"] == pytest.approx(10_000_000, rel=0.001)
    assert speed["min"] == pytest.approx(10_000_000, rel=0.001)
    assert speed["p5"] is None  # too few to say


def test_each_size_has_its_own_counts_and_histograms():
    uploads = built(tally_of(sent(1000), sent(1000), sent(2_000_000, transfer_s=2.0)))["uploads"]
    small, large = uploads["sizes"]
    assert (small["name"], small["turns"]["started"]) == ("up to 64 KiB", 2)
    assert (large["name"], large["turns"]["outcomes"]) == ("up to 16 MiB", {"ok": 1})
    assert large["throughput_bytes_per_s"]["min"] == pytest.approx(1_000_000, rel=0.001)
    assert small["metrics"]["upload_accept"]["n"] == 2
    assert large["bytes"] == {"bytes_sent": 2_000_250}


def test_a_failed_upload_makes_none_faster():
    late = sent(1000, outcome=Outcome.TIMEOUT_TOTAL, transfer_s=None, accept_s=None)
    (small,) = built(tally_of(sent(1000), late))["uploads"]["sizes"]
    assert small["metrics"]["upload_pace"]["n"] == 1
    assert small["metrics_all_attempts"]["upload_pace"]["max"] == "inf"
    assert small["metrics_all_attempts"]["upload_accept"]["max"] == "inf"


def test_a_dropped_upload_has_no_size_and_still_owes_its_times():
    results = built(tally_of(sent(None, outcome=Outcome.DROPPED)))
    assert results["uploads"] is None
    assert results["metrics_all_attempts"]["upload_pace"]["max"] == "inf"


def test_downloads_count_as_compared_and_other_bytes_as_different():
    tally = tally_of(sent(1000))
    same = CallResult(outcome=Outcome.OK, duration_s=0.1)
    other = CallResult(outcome=Outcome.CANARY_MISMATCH, duration_s=0.1)
    refused = CallResult(outcome=Outcome.SERVER_ERROR, duration_s=0.1)
    tally.merge(tally_of(same, same, other, refused, operation="download"))
    uploads = built(tally)["uploads"]
    assert (uploads["compared"], uploads["different"]) == (3, 1)


def test_the_warm_up_is_in_no_size():
    tally = Tally(window=Window(excluded_s=5.0))
    tally.started("uploads", "upload", NOW + 1)
    tally.finished("uploads", "upload", NOW + 1, sent(1000))
    assert built(tally)["uploads"] is None


@given(st.lists(st.sampled_from([10, 10**5, 10**7, 10**8]), max_size=30), st.integers(0, 30))
def test_sizes_of_two_processes_add_up_over_the_wire(sizes, cut):
    whole = tally_of(*map(sent, sizes))
    merged = Tally()
    for part in (sizes[:cut], sizes[cut:]):
        merged.merge(Tally.decode(tally_of(*map(sent, part)).encode()))
    assert dict(merged.sizes) == dict(whole.sizes)
