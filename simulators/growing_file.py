"""A Parquet file that comes into being table by table."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import pyarrow as pa
import pyarrow.parquet as pq

from envs.aside import file_aside
from envs.errors import InputError


class GrowingFile:
    """A file that is there once its ``with`` block has ended well and something was added."""

    def __init__(
        self,
        path: Path,
        metadata: Mapping[bytes, bytes],
        compression: Literal["zstd", "lz4"],
        each_their_own: tuple[str, ...] = (),
    ) -> None:
        """Prepare a file.

        Args:
            path: of the file.
            metadata: what the file says of itself.
            compression: lz4 is read in half the time that zstd takes, for a seventh more bytes.
            each_their_own: columns whose values hardly ever repeat.
        """
        self._path, self._metadata = path, dict(metadata)
        self._compression, self._each_their_own = compression, each_their_own
        self._writer: pq.ParquetWriter | None = None
        self._stack = ExitStack()
        self.rows = 0

    def __enter__(self) -> Self:
        """Begin.

        Raises:
            InputError: nothing can be written there.
        """
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._aside = self._stack.enter_context(file_aside(self._path))
            self._aside.touch()
            self._aside.unlink()
        except OSError as error:
            raise InputError(f"{self._path}: cannot be written: {error.strerror}") from None
        return self

    def add(self, table: pa.Table) -> None:
        """Write some more rows, as the next row group."""
        if self._writer is None:
            schema = table.schema.with_metadata(self._metadata)
            repeating = [name for name in schema.names if name not in self._each_their_own]
            self._writer = pq.ParquetWriter(
                self._aside, schema, compression=self._compression, use_dictionary=repeating
            )
        self._writer.write_table(table, row_group_size=max(1, table.num_rows))
        self.rows += table.num_rows

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._writer is not None:
            self._writer.close()
        self._stack.__exit__(kind, error, traceback)
