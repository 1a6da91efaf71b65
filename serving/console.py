"""What a terminal shows: progress on stderr, tables on stdout, one line for an error."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

Advance = Callable[..., None]
"""`advance(done, note="")`: the share of a step that is done, 0 to 1, and what it is at."""


SECONDS_BETWEEN_LINES = 10.0
"""How often a long step tells how far it is, where no person looks at a bar."""


@contextlib.contextmanager
def steps(*, quiet: bool = False) -> Iterator[Callable[[str], contextlib.AbstractContextManager[Advance]]]:
    """Open a place for named steps on stderr: bars where a person looks, one line each elsewhere.

    >>> with steps(quiet=True) as step, step("reading") as advance:
    ...     advance(0.5, "half of it")
    """
    if quiet:
        yield _silent
        return
    console = _console(stderr=True)
    if not console.is_terminal:
        yield _recorded
        return
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(finished_text="[green]✓[/]"),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=28),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}", style="dim", markup=False),
    )
    with Progress(*columns, console=console) as progress:
        yield lambda title: _shown(progress, title)


def say(*lines: str) -> None:
    """Print lines of text on stdout as they are: no markup, no control characters."""
    for line in lines:
        print(plain(line))  # noqa: T201 - the terminal is what this file is for


def say_json(value: Any) -> None:
    """Print a value as JSON on stdout, numbers that are not finite as null."""
    print(json.dumps(_finite(value), ensure_ascii=False, allow_nan=False))  # noqa: T201


def note(line: str) -> None:
    """Print a line on stderr, beside what a machine reads."""
    print(plain(line), file=sys.stderr)  # noqa: T201


def say_table(
    columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str = "", wrap: Sequence[str] = ()
) -> None:
    """Print a table on stdout; columns whose values are numbers are set to the right.

    Args:
        columns: the heads.
        rows: a value for each column; None shows as a dot.
        title: a line above.
        wrap: the columns that may break into several lines; the others are never cut.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    cells = [list(row) for row in rows]
    table = Table(
        box=box.SIMPLE_HEAD, title=title or None, title_justify="left", title_style="bold", pad_edge=False
    )
    for i, head in enumerate(columns):
        numeric = any(isinstance(row[i], int | float) for row in cells) or all(
            _is_number(row[i]) for row in cells
        )
        table.add_column(head, justify="right" if numeric else "left", no_wrap=head not in wrap)
    for row in cells:
        table.add_row(*(Text(_cell(value)) for value in row))
    console = _console()
    if not console.is_terminal:  # a file has no width to fit in
        console.width = 4096
    with console.capture() as drawn:
        console.print(table)
    print("\n".join(line.rstrip() for line in drawn.get().splitlines()))  # noqa: T201


def plain(text: str) -> str:
    r"""Return text that cannot steer a terminal: control characters are spelt out.

    >>> plain("a\x1b[31mb")
    'a\\x1b[31mb'
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def percent(share: float | None, digits: int = 1) -> str:
    """Return a share as a percentage.

    >>> percent(0.1234), percent(None)
    ('12.3%', '·')
    """
    return "·" if share is None else f"{100 * share:.{digits}f}%"


def _is_number(value: object) -> bool:
    return value is None or (
        isinstance(value, str)
        and value[:1].isdigit()
        and value.rstrip("%").replace(",", "").replace(".", "").isdigit()
    )


def _cell(value: object) -> str:
    if value is None:
        return "·"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.3f}"
    return plain(str(value))


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    if isinstance(value, float) and not -float("inf") < value < float("inf"):
        return None
    return value


def _console(*, stderr: bool = False) -> Console:
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, soft_wrap=False)


@contextlib.contextmanager
def _silent(title: str) -> Iterator[Advance]:
    yield lambda done, note="": None


@contextlib.contextmanager
def _recorded(title: str) -> Iterator[Advance]:
    started = said = time.perf_counter()

    def advance(done: float, told: str = "") -> None:
        nonlocal said
        if told and time.perf_counter() - said >= SECONDS_BETWEEN_LINES:
            said = time.perf_counter()
            note(f"  {title}: {percent(done, 0)}, {told}")

    yield advance
    note(f"  {title} ({time.perf_counter() - started:.1f} s)")


@contextlib.contextmanager
def _shown(progress: Progress, title: str) -> Iterator[Advance]:
    task = progress.add_task(title, total=None, note="")
    yield lambda done, note="": progress.update(task, total=1.0, completed=done, note=plain(note))
    progress.update(task, total=1.0, completed=1.0, note="")
