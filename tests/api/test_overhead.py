from astrometer.api.timings import Timings


def test_a_server_that_claims_more_time_than_passed_has_no_overhead_that_could_be_told():
    times = {"t_intended": 0.0, "t_send": 0.0, "t_token1": 0.5, "streamed": True}
    assert Timings(**times, server_ttft_s=0.2).metrics()["overhead"] == (0.3,)
    assert "overhead" not in Timings(**times, server_ttft_s=8.0).metrics()
