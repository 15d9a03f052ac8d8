"""Which policy serves, which shadows, which takes a share, which came before: and every change.

A line-up is a value: a change makes another one, or is refused with a failure that says why.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field

from serving.words.failures import Failure, shortened

MOST_PAST: Final = 10
"""Earlier policies that can be gone back to."""
MOST_LOADED: Final = 64
"""Policies that are kept at a time, each of up to two megabytes."""

Name = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._-]+$")]


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True)  # a newer version's fields are no reason to stand still


class Loaded(_Value):
    """A policy that is kept in Redis and may serve."""

    policy: str = Field(description="What decisions and the journal call it")
    kind: str
    source: str = Field(description='A baseline, or "bundle"')
    hash: str = Field(description="Of its content")
    size_bytes: int
    configured: bool = Field(description="Whether a configuration named it, not a caller")
    figures: dict[str, Any] = Field(description="What was measured of it when it was made")


class Canary(_Value):
    """A policy that decides for a share of the users."""

    policy: str
    share: float


class Configured(_Value):
    """What a configuration named last."""

    spec: str
    hash: str


class Lineup(_Value):
    """What serves everywhere."""

    serving: str | None = None
    shadow: str | None = None
    canary: Canary | None = None
    past: tuple[str, ...] = ()
    """Served before, the latest first."""
    loaded: dict[str, Loaded] = {}
    configured: Configured | None = None

    def roles(self) -> dict[str, str]:
        """The policies that decide or shadow, by what they do."""
        canary = self.canary.policy if self.canary else None
        found = {"serving": self.serving, "canary": canary, "shadow": self.shadow}
        return {role: name for role, name in found.items() if name is not None}

    def used(self) -> set[str]:
        """The policies that must stay loaded."""
        return {*self.roles().values(), *self.past}

    def hashes(self) -> set[str]:
        """Contents of the policies that are loaded."""
        return {loaded.hash for loaded in self.loaded.values()}

    def load(self, name: str, loaded: Loaded) -> Lineup:
        """With one more policy.

        Raises:
            Failure: another one of this name is in use, or there are too many.
        """
        known = self.loaded.get(name)
        if known is not None and known.hash == loaded.hash:
            return self
        if known is not None and name in self.used():
            raise _in_use(f"{name} is in use with another content: load it under another name")
        if known is None and len(self.loaded) >= MOST_LOADED:
            raise Failure(
                409, "too_many_policies", f"{MOST_LOADED} policies are loaded: delete one first"
            )
        return self._with(loaded=self.loaded | {name: loaded})

    def drop(self, name: str) -> Lineup:
        """Without a policy.

        Raises:
            Failure: it is not loaded, or in use.
        """
        self._known(name)
        for role, used in self.roles().items():
            if used == name:
                raise _in_use(f"{name} is in use ({role}): put another in its place first")
        if name in self.past:
            raise _in_use(f"{name} served before and can be gone back to: it stays loaded")
        return self._with(loaded={n: one for n, one in self.loaded.items() if n != name})

    def promote(self, name: str) -> Lineup:
        """With another policy that serves; it then no longer shadows or takes a share."""
        self._known(name)
        if name == self.serving:
            return self
        past = self.past if self.serving is None else (self.serving, *self.past)
        return self._serve(name, past[:MOST_PAST])

    def roll_back(self) -> Lineup:
        """With the policy that served before.

        Raises:
            Failure: there is none.
        """
        if not self.past:
            raise Failure(409, "nothing_before", "no policy served before: promote one by name")
        return self._serve(self.past[0], self.past[1:])

    def shadow_with(self, name: str | None) -> Lineup:
        """With another policy, or none, that decides beside the others and is not acted on."""
        if name is not None:
            self._known(name)
            self._not_serving(name)
        return self._with(shadow=name)

    def share_with(self, name: str | None, share: float) -> Lineup:
        """With another policy, or none, for a share of the users."""
        if name is None:
            return self._with(canary=None)
        self._known(name)
        self._not_serving(name)
        return self._with(canary=Canary(policy=name, share=share))

    def configure(self, spec: str, loaded: Loaded) -> Lineup:
        """With the policy that a configuration names for the first time: it serves.

        What earlier configurations named and nothing uses any more is forgotten.
        """
        named = Configured(spec=spec, hash=loaded.hash)
        if self.configured == named:
            return self
        name = self._name_for(loaded)
        used = self.used() | {name}
        kept = {n: one for n, one in self.loaded.items() if n in used or not one.configured}
        lineup = self._with(loaded=kept, configured=named)
        return lineup.load(name, loaded).promote(name)

    def _name_for(self, loaded: Loaded) -> str:
        """A name for a policy that nobody has named."""
        plain = re.sub(r"[^A-Za-z0-9._-]", "-", loaded.policy)
        known = self.loaded.get(plain[:64])
        if known is None or known.hash == loaded.hash:
            return plain[:64]
        return f"{plain[:47]}-{loaded.hash[:16]}"

    def _serve(self, name: str, past: tuple[str, ...]) -> Lineup:
        canary = None if self.canary and self.canary.policy == name else self.canary
        shadow = None if self.shadow == name else self.shadow
        return self._with(serving=name, shadow=shadow, canary=canary, past=past)

    def _known(self, name: str) -> None:
        if name not in self.loaded:
            raise Failure(
                404, "unknown_policy", f"no policy {shortened(name)} is loaded: load it first"
            )

    def _not_serving(self, name: str) -> None:
        if name == self.serving:
            raise _in_use(f"{name} serves already: name another one")

    def _with(self, **changes: Any) -> Lineup:
        return self.model_copy(update=changes)


def _in_use(message: str) -> Failure:
    return Failure(409, "policy_in_use", message, "policy")
