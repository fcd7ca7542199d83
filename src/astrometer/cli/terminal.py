"""What rich can show -> stdout. Into a pipe or a file no line ends in blanks, so that it can be compared."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import RenderableType


def print_rich(what: "RenderableType") -> None:
    """As wide as the terminal, and 80 columns elsewhere."""
    from rich.console import Console

    console = Console(highlight=False)
    if console.is_terminal:
        console.print(what)
        return
    with console.capture() as captured:
        console.print(what)
    lines = "".join(f"{line.rstrip(' ')}\n" for line in captured.get().splitlines())
    console.file.write(lines)
    console.file.flush()
