"""How far a scoring is: rows a second and the time left, where someone is watching."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def show_progress(what: str, unit: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """Show a bar on the terminal; it is told how much is done, not how much more.

    Without a terminal nothing is shown.
    """
    from tqdm import tqdm

    with tqdm(
        desc=what,
        total=total,
        unit=unit,
        unit_scale=True,
        disable=not sys.stderr.isatty(),
        dynamic_ncols=True,
        leave=False,
    ) as bar:

        def tell(done: int) -> None:
            bar.update(done - bar.n)

        yield tell
