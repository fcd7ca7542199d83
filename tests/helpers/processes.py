"""Processes that may end while a test looks at them."""

import contextlib

import psutil


@contextlib.contextmanager
def ended_with_the_test(child):
    """`child` is killed and waited for, whatever the test comes to."""
    try:
        yield child
    finally:
        if child.poll() is None:
            child.kill()
        child.wait()


def descendants(process, *, of=None):
    """The processes below `process` that run; with `of`, those with that word in their command line."""
    found = []
    with contextlib.suppress(psutil.NoSuchProcess):
        for child in process.children(recursive=True):
            with contextlib.suppress(
                psutil.NoSuchProcess
            ):  # it has just ended, reaped or not (ZombieProcess is one)
                if of is None or any(of in part for part in child.cmdline()):
                    found.append(child)
    return found
