"""Files to upload, and the bodies that carry them."""

import io
import wave

import pytest

from astrometer.load.transport.multipart import Multipart, SampleFile


@pytest.mark.parametrize("size", [0, 5, 70_000, 1_000_001])
def test_a_multipart_body_has_the_length_that_it_announces(size):
    file = SampleFile.make(".bin", "application/octet-stream", size)
    assert len(b"".join(file.blocks())) == size
    body = Multipart(file)
    assert len(b"".join(body)) == body.length


def test_two_files_have_different_names_and_bytes():
    first, second = (SampleFile.make(".txt", "text/plain", 5000) for _ in range(2))
    assert first.name != second.name
    assert first.sha256 != second.sha256


def test_a_recording_is_a_recording_and_an_image_is_an_image():
    sound = b"".join(SampleFile.make(".wav", "audio/wav", 20_044).blocks())
    with wave.open(io.BytesIO(sound)) as recording:
        assert (recording.getframerate(), recording.getnframes()) == (16_000, 10_000)
    image = b"".join(SampleFile.make(".png", "image/png", 20_000).blocks())
    assert image.startswith(b"\x89PNG\r\n\x1a\n")
    assert b"IEND" in image[:100]
