"""What an exit code of every command means."""

PASS = 0
FAILED = 1  # an objective or a probe failed
USAGE = 2
INVALID = 3  # the run cannot be trusted
UNREACHABLE = 4
