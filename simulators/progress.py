"""A progress bar on standard error."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import Progress


class Bar:
    """A bar that is told the share that is done."""

    def __init__(self, label: str, shown: bool = True) -> None:
        console = Console(stderr=True)
        self._progress = Progress(console=console, disable=not shown, transient=True)
        self._task = self._progress.add_task(label, total=1.0)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def update(self, share: float) -> None:
        """Show the share that is done, 0 to 1."""
        self._progress.update(self._task, completed=share)
