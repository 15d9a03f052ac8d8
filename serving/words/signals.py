"""What an app has in place of the scene, understood against the service's scene reader."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from envs.catalogue import Catalogue
from envs.errors import InputError
from envs.scene_reader import SceneReader
from serving.words.failures import Failure, shortened


def reader_text(path: str | Path, catalogue: Catalogue) -> str:
    """The text of a scene reader's file; nothing where there is no path.

    Raises:
        InputError: it cannot be read, or reads other scenes than the catalogue has.
    """
    if not str(path):
        return ""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path} cannot be read: {error}: make one with python -m agents scenes"
        ) from None
    _parsed(text, str(path), catalogue)
    return text


def _parsed(text: str, source: str, catalogue: Catalogue) -> SceneReader:
    return SceneReader.parse(text, source, tuple(scene.name for scene in catalogue.scenes))


class Signals:
    """The signals that one service understands."""

    def __init__(self, text: str, catalogue: Catalogue) -> None:
        """From the text of a scene reader; without one no signal is understood."""
        self.reader = _parsed(text, "the scene reader", catalogue) if text else None

    def evidence(self, told: Mapping[str, str], field: str) -> NDArray[np.float64]:
        """What signals say of each scene, [S].

        Args:
            told: words by signal.
            field: where they stand in the request.

        Raises:
            Failure: 422 without a scene reader, for a signal or a word that it does not know.
        """
        if self.reader is None:
            message = "this service reads no signals: name the scene, or start it with --scenes"
            raise Failure(422, "no_scene_reader", message, field)
        try:
            return self.reader.evidence(told)
        except KeyError:
            raise self._unknown(self.reader, told, field) from None

    def _unknown(self, reader: SceneReader, told: Mapping[str, str], field: str) -> Failure:
        for signal, word in told.items():
            if signal not in reader.words:
                known = ", ".join(reader.words)
                message = f"signal {shortened(signal)} is not known; known are {known}"
                return Failure(422, "unknown_signal", message, field)
            if word not in reader.words[signal]:
                known = ", ".join(reader.words[signal])
                message = (
                    f"{shortened(word)} is no {signal}; known are {known}: leave out what is not "
                    "there"
                )
                return Failure(422, "unknown_signal_word", message, f"{field}.{signal}")
        raise AssertionError("something of it is unknown")
