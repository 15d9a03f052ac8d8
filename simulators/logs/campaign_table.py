"""A CSV of past campaigns, read column by column as its mapping says.

Every refusal names the file, the row (counted from 1, without the header) and the column.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from envs.catalogue import Attribute, Catalogue
from simulators.logs.log_columns import Floats, LogError, Texts
from simulators.logs.mapping import Cell, Mapping


class CampaignTable:
    """A table of past campaigns, as texts, read column by column through a mapping.

    Raises:
        LogError: the file cannot be read or holds no row.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._cells = pd.read_csv(path, dtype=str, keep_default_na=False, na_filter=False)
        except FileNotFoundError:
            raise LogError(f"{path}: no such file") from None
        except (OSError, EOFError, ValueError, zlib.error) as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise LogError(f"{path}: cannot be read as CSV: {reason}") from None
        if self._cells.empty:
            raise LogError(f"{path}: the table has no rows")

    def __len__(self) -> int:
        return len(self._cells)

    def refuse(self, column: str, message: str, row: int | None = None) -> NoReturn:
        """Raise the error of a column and of a row (from 0; the header is line 1) if given."""
        where = "" if row is None else f"row {row + 1}, "
        raise LogError(f"{self._path}: {where}column {column!r}: {message}")

    def texts(self, cell: Cell) -> Texts:
        """The texts of a column, translated where the mapping lists values, [N]."""
        if cell.column not in self._cells.columns:
            self.refuse(cell.column, f"is missing, the table has {list(self._cells.columns)}")
        texts: Texts = self._cells[cell.column].to_numpy(object)
        if cell.values is None:
            return texts
        meaning = cell.values
        return self._each(
            texts, cell.column, lambda text: _look_up(text, meaning), keep_empty="" not in meaning
        )

    def _each(
        self, texts: Texts, column: str, read: Callable[[str], object], keep_empty: bool = False
    ) -> NDArray[np.object_]:
        """Read every distinct text once; a ValueError becomes the error of its first row."""
        distinct, position = np.unique(texts.astype(str), return_inverse=True)
        values = np.empty(len(distinct), object)
        for i, text in enumerate(distinct):
            try:
                values[i] = "" if keep_empty and text == "" else read(str(text))
            except ValueError as error:
                self.refuse(column, str(error), int(np.flatnonzero(position == i)[0]))
        return values[position]

    def numbers(self, cell: Cell) -> Floats:
        """A column of numbers, NaN where empty, [N]."""

        def read(text: str) -> float:
            if text == "":
                return np.nan
            value = float(text)
            if not np.isfinite(value):
                raise ValueError(f"{text!r} is not a finite number")
            return value

        return self._each(self.texts(cell), cell.column, read).astype(np.float64)

    def attribute(self, cell: Cell, attribute: Attribute) -> Floats:
        """A declared attribute as the user state keeps it, NaN where empty, [N]."""

        def read(text: str) -> float:
            if text == "":
                return np.nan
            return attribute.number(text if attribute.kind == "choice" else float(text))

        return self._each(self.texts(cell), cell.column, read).astype(np.float64)

    def users(self, mapping: Mapping) -> Texts:
        """Who was decided for, [N]."""
        if mapping.user.row is not None:
            pattern = mapping.user.row
            names = [pattern.replace("{row}", str(row + 1)) for row in range(len(self))]
            return np.asarray(names, object)
        column = str(mapping.user.column)
        users = self.texts(Cell(column=column))
        for row in np.flatnonzero(users == ""):
            self.refuse(column, "is empty", int(row))
        return users

    def times(self, mapping: Mapping) -> NDArray[np.int32]:
        """When each decision was taken, seconds since 2020-01-01T00:00Z, [N]."""
        time = mapping.time
        if time.constant is not None:
            return np.full(len(self), time.seconds(time.constant), np.int32)
        column = str(time.column)
        return self._each(self.texts(Cell(column=column)), column, time.seconds).astype(np.int32)

    def scenes(self, mapping: Mapping, catalogue: Catalogue) -> NDArray[np.int16]:
        """Where each decision was taken, index into the scenes, [N]."""
        if mapping.scene.constant is not None:
            index = catalogue.scene_index(mapping.scene.constant)
            return np.full(len(self), index, np.int16)
        cell = Cell(column=str(mapping.scene.column), values=mapping.scene.values)
        names = {scene.name: str(i) for i, scene in enumerate(catalogue.scenes)}
        read = self._each(self.texts(cell), cell.column, lambda text: int(_look_up(text, names)))
        return read.astype(np.int16)

    def actions(self, mapping: Mapping, catalogue: Catalogue) -> NDArray[np.int64]:
        """What was done, index into the actions, [N]."""
        cell = mapping.action
        names = {action.name: str(action.index) for action in catalogue.actions}
        read = self._each(self.texts(cell), cell.column, lambda text: int(_look_up(text, names)))
        return read.astype(np.int64)

    def propensities(
        self, mapping: Mapping, catalogue: Catalogue, actions: NDArray[np.int64]
    ) -> Floats:
        """With which probability it was done, (0, 1], [N]."""
        chance = mapping.propensity
        if chance.constant is not None:
            return np.full(len(self), chance.constant)
        if chance.actions is not None:
            names = [action.name for action in catalogue.actions]
            by_action = np.asarray([chance.actions.get(name, 0.0) for name in names])
            for row in np.flatnonzero(by_action[actions] == 0):
                name = names[actions[row]]
                self.refuse(mapping.action.column, f"{name!r} has no propensity", int(row))
            return by_action[actions]
        values = self.numbers(Cell(column=str(chance.column)))
        for row in np.flatnonzero(~((values > 0) & (values <= 1))):
            message = f"{values[row]} is not above 0 and at most 1"
            self.refuse(str(chance.column), message, int(row))
        return values


def _look_up(text: str, known: dict[str, str]) -> str:
    if text not in known:
        raise ValueError(f"{text!r} is not one of {sorted(known)}")
    return known[text]
