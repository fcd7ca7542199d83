"""What an exit code of every command means."""

PASS = 0
FAILED = 1  # an objective or a probe failed
USAGE = 2
INVALID = 3  # the run cannot be trusted
UNREACHABLE = 4
INTERRUPTED = 130  # Ctrl-C, SIGTERM or a closed terminal; as a shell says it: 128 + SIGINT
