"""The mapping file: how a table of past campaigns reads as a log of decisions.

A person writes it in YAML, so errors name file, line, field and value. docs/logs.md explains it.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from envs.catalogue import Catalogue, load_catalogue
from envs.clock import known_zone, parse_time, to_datetime, to_seconds
from envs.errors import InputError


class MappingError(InputError):
    """A mapping file breaks a rule; the message starts with ``file:line: field:``."""


def _fraction(value: object) -> object:
    """A probability may be written as 1/3, so that it is exact."""
    if isinstance(value, str):
        try:
            return float(Fraction(value))
        except (ValueError, ZeroDivisionError):
            return value
    return value


def _text(value: object) -> object:
    """A number that stands where a text of the table is meant."""
    return str(value) if type(value) in (int, float) else value


Probability = Annotated[float, BeforeValidator(_fraction), Field(gt=0, le=1)]
CellText = Annotated[str, BeforeValidator(_text)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    def _exactly_one(self, *names: str) -> None:
        given = [name for name in names if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"give exactly one of {', '.join(names)}, got {given or 'none'}")


class Cell(_Part):
    """A column, and what its texts mean; texts not listed are refused, none listed: as they are."""

    column: str
    values: dict[CellText, CellText] | None = None


class ConstantOrColumn(_Part):
    """One value for all rows, or a column."""

    constant: CellText | None = None
    column: str | None = None
    values: dict[CellText, CellText] | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        self._exactly_one("constant", "column")
        return self


class Time(_Part):
    """When a decision was taken: ISO 8601, or a number of days or hours since some moment."""

    constant: str | None = None
    column: str | None = None
    zone: str | None = None
    """Of times that do not say theirs."""
    since: str | None = None
    """The moment that the column counts from."""
    unit: Literal["days", "hours"] = "days"
    """What it counts."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        self._exactly_one("constant", "column")
        if self.zone is not None and not known_zone(self.zone):
            raise ValueError(f"time zone {self.zone!r} does not exist: use one like Europe/Berlin")
        if self.since is not None and self.column is None:
            raise ValueError("since needs a column that counts from it")
        for moment in (self.constant, self.since):
            if moment is not None:
                self._moment(moment)
        return self

    def seconds(self, text: str) -> int:
        """Seconds since 2020-01-01T00:00Z of a time as the table writes it.

        Raises:
            ValueError: neither ISO 8601 nor a number, without a zone, or outside 2000 to 2050.
        """
        if self.since is None:
            return self._moment(text)
        try:
            passed = timedelta(**{self.unit: float(text)})
            return to_seconds(to_datetime(self._moment(self.since)) + passed)
        except OverflowError:
            raise ValueError(f"{text!r} {self.unit} lie outside 2000 to 2050") from None

    def _moment(self, text: str) -> int:
        if self.zone is None:
            return parse_time(text)
        moment = datetime.fromisoformat(text)
        return to_seconds(moment.replace(tzinfo=moment.tzinfo or ZoneInfo(self.zone)))


class User(_Part):
    """Who was decided for: a column, or a pattern with {row} where each row is somebody else."""

    column: str | None = None
    row: str | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        self._exactly_one("column", "row")
        if self.row is not None and "{row}" not in self.row:
            raise ValueError("the pattern must contain {row}")
        return self


class Propensity(_Part):
    """With which probability the action of a row was taken."""

    constant: Probability | None = None
    column: str | None = None
    actions: dict[str, Probability] | None = None
    """By action; the probabilities must add up to 1."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        self._exactly_one("constant", "column", "actions")
        if self.actions is not None and abs(sum(self.actions.values()) - 1.0) > 1e-6:
            raise ValueError(f"probabilities add up to {sum(self.actions.values()):.6f}, not 1")
        return self


class Reward(_Part):
    """What the decision is judged by: an outcome, or a column of its own."""

    outcome: str | None = None
    column: str | None = None
    unit: str
    """What one unit of it is, for example visits or cents."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        self._exactly_one("outcome", "column")
        return self


class Mapping(_Part):
    """One campaign table: which column is what."""

    name: str
    catalogue: str
    """YAML file, relative to the mapping's folder."""
    user: User
    scene: ConstantOrColumn
    time: Time
    action: Cell
    propensity: Propensity
    attributes: dict[str, Cell] = {}
    outcomes: dict[str, Cell] = {}
    reward: Reward


def load_mapping(path: Path) -> tuple[Mapping, Catalogue]:
    """A mapping file and the catalogue that it names, held against each other.

    Raises:
        MappingError: one line with file, line, field and value.
        CatalogueError: the catalogue itself is wrong.
    """
    try:
        text = path.read_text(encoding="utf-8")
        root, content = yaml.compose(text, Loader=yaml.SafeLoader), yaml.safe_load(text)
    except (OSError, UnicodeDecodeError) as error:
        raise MappingError(f"{path}: cannot be read as UTF-8 text: {error}") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or "not YAML"
        raise MappingError(f"{path}:{mark.line + 1 if mark else 1}: {problem}") from None
    try:
        mapping = Mapping.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        message = first["msg"].removeprefix("Value error, ")
        raise _error(path, root, first["loc"], message, first.get("input")) from None
    catalogue = load_catalogue(path.parent / mapping.catalogue)
    for location, message, value in _contradictions(mapping, catalogue):
        raise _error(path, root, location, message, value)
    return mapping, catalogue


Problem = tuple[tuple[int | str, ...], str, object]


def _contradictions(mapping: Mapping, catalogue: Catalogue) -> list[Problem]:
    """Names that the catalogue or the mapping itself does not know."""
    actions = {action.name for action in catalogue.actions}
    scenes = {scene.name for scene in catalogue.scenes}
    declared = {attribute.name for attribute in catalogue.attributes}
    named: list[tuple[tuple[int | str, ...], str, set[str]]] = [
        (("attributes", name), name, declared) for name in mapping.attributes
    ]
    for text, action in (mapping.action.values or {}).items():
        named.append((("action", "values", text), action, actions))
    for action in mapping.propensity.actions or {}:
        named.append((("propensity", "actions", action), action, actions))
    scene = mapping.scene
    if scene.constant is not None:
        named.append((("scene", "constant"), scene.constant, scenes))
    for text, name in (scene.values or {}).items():
        named.append((("scene", "values", text), name, scenes))
    if mapping.reward.outcome is not None:
        named.append((("reward", "outcome"), mapping.reward.outcome, set(mapping.outcomes)))
    return [
        (location, f"is not declared, known are {sorted(known)}", name)
        for location, name, known in named
        if name not in known
    ]


def _error(
    path: Path,
    root: yaml.Node | None,
    location: tuple[int | str, ...],
    message: str,
    value: object,
) -> MappingError:
    node, line = root, 1
    for step in location:
        children = node.value if isinstance(node, yaml.MappingNode) else []
        found = [(key, child) for key, child in children if key.value == str(step)]
        if not found:
            break
        node, line = found[-1][1], found[-1][0].start_mark.line + 1
    field = ".".join(str(step) for step in location) or "file"
    shown = "" if isinstance(value, dict | list) else f" (got {value!r:.80})"
    return MappingError(f"{path}:{line}: {field}: {message}{shown}")
