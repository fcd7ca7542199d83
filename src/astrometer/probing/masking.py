"""The masking of keys, as probes know it."""

from astrometer.masking import LEAST_SHOWN as LEAST_SHOWN  # noqa: PLC0414 (re-exported, and those below)
from astrometer.masking import MASK as MASK  # noqa: PLC0414
from astrometer.masking import mask as mask  # noqa: PLC0414
