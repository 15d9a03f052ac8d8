"""Scripts that Redis runs as one step, sent by their hash and loaded where they are not known."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha1
from typing import Any

from redis.exceptions import NoScriptError

from serving.store.connect import Client


class Script:
    """One Lua script. It must be safe to run twice with the same arguments."""

    def __init__(self, text: str) -> None:
        self.text = text
        # What Redis calls the script; no secret depends on it.
        self.sha = sha1(text.encode(), usedforsecurity=False).hexdigest()

    async def call(self, redis: Client, keys: Sequence[str], *arguments: Any) -> Any:
        """Run it. The first key's slot is the slot of all.

        Raises:
            RedisError: Redis does not answer, or the script fails.
        """
        try:
            return await redis.execute_command("EVALSHA", self.sha, len(keys), *keys, *arguments)
        except NoScriptError:  # a new Redis, or one that was restarted
            return await redis.execute_command("EVAL", self.text, len(keys), *keys, *arguments)

    async def call_many(
        self, redis: Client, calls: Sequence[tuple[Sequence[str], Sequence[Any]]]
    ) -> list[Any]:
        """Run it once for each (keys, arguments), in one round trip a node.

        Returns:
            What each gave; where one failed, its exception.

        Raises:
            RedisError: Redis does not answer; some of them may have run.
        """
        results = await self._pipelined(redis, calls, "EVALSHA", self.sha)
        unknown = [n for n, result in enumerate(results) if isinstance(result, NoScriptError)]
        if unknown:
            again = await self._pipelined(redis, [calls[n] for n in unknown], "EVAL", self.text)
            for n, result in zip(unknown, again, strict=True):
                results[n] = result
        return results

    async def _pipelined(
        self,
        redis: Client,
        calls: Sequence[tuple[Sequence[str], Sequence[Any]]],
        command: str,
        script: str,
    ) -> list[Any]:
        pipeline = redis.pipeline(transaction=False)
        for keys, arguments in calls:
            pipeline.execute_command(command, script, len(keys), *keys, *arguments)
        found: list[Any] = await pipeline.execute(raise_on_error=False)
        return found
