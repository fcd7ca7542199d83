"""What an exit code means: of every command, and of plain Locust with our users."""

PASS = 0
FAILED = 1
USAGE = 2
INVALID = 3
UNREACHABLE = 4
INTERRUPTED = 130  # Ctrl-C, SIGTERM or a closed terminal; as a shell says it: 128 + SIGINT

MEANING = {
    PASS: "pass",
    FAILED: "an objective, a condition or a probe failed, or nothing succeeded",
    USAGE: "usage: an argument, a setting or a key cannot be used",
    INVALID: "the result cannot be trusted or decided, or the run was not steady; its causes are printed",
    UNREACHABLE: "the target did not answer, or could not be started",
    INTERRUPTED: "interrupted: Ctrl-C, SIGTERM, a closed terminal, or No to a question",
}
BY_VERDICT = {
    # of a run
    "PASS": PASS,
    "NONE": PASS,
    "FAIL": FAILED,
    "INVALID": INVALID,
    "DRIFTING": INVALID,  # its numbers are true, and stand for no state
    # of a comparison
    "CANNOT TELL": INVALID,
    "NOT COMPARABLE": INVALID,
}
