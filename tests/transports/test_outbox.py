"""What a connection does not take at once goes out later, once, and in order."""

from hypothesis import given
from hypothesis import strategies as st

from astrometer.wire.outbox import Outbox


@given(st.lists(st.tuples(st.binary(max_size=20), st.integers(0, 9))))
def test_all_goes_out_in_order_however_little_the_system_takes(steps):
    outbox, put, out = Outbox(), bytearray(), bytearray()
    for data, room in steps:
        left = room

        def send(unsent):
            nonlocal left
            if not left:
                raise BlockingIOError
            count = min(left, len(unsent))
            left -= count
            out.extend(unsent[:count])
            return count

        outbox.put(data)
        went = outbox.flush(send)
        assert outbox.taken == len(out)
        put += data
        assert went == (out == put)
    out += outbox.take()
    assert out == put
