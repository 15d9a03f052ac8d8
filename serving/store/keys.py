"""Where things lie in Redis: the name of every key.

Keys of one user share a hash tag with the journal stream of their bucket, so one script may touch
all of them on a Redis Cluster too. ``TAG`` stands for the shape of the users: another catalogue of
the same shape finds them again. ``BIZ`` stands for the name of the business: its budget and its
policies outlive any change of the shape.

* ``sl:{b07}:TAG:u:USER``      string: a user, see ``records.UserRecord``
* ``sl:{b07}:TAG:d:DECISION``  hash: answer, record, state, ``e:KEY`` of what came of it
* ``sl:{b07}:TAG:i:USER``      sorted set: ids of the user's decisions by time
* ``sl:{b07}:TAG:k:USER``      set: other identities of the user
* ``sl:{b07}:TAG:m:USER``      set: merges that are done
* ``sl:{b07}:TAG:o:EVENT``     hash: an event of the Personalizer door
* ``sl:{b07}:TAG:n:USER``      set: the user's events of the Personalizer door
* ``sl:{b07}:TAG:j``           stream: the journal, until it is in Parquet
* ``sl:{b07}:TAG:w``           sorted set: deferred decisions by the time at which they lapse
* ``sl:{b07}:BIZ:s:PERIOD``    hash: cents that decisions have reserved, by lease
* ``sl:{budget}:BIZ:b:PERIOD`` hash: the budget of a period and its leases
* ``sl:{policies}:BIZ:p``      hash: what serves
* ``sl:{policies}:BIZ:c:CHANGE`` hash: what came of a change of it
* ``sl:{policies}:BIZ:x:HASH`` hash: the files of a bundle
* ``sl:{policies}:BIZ:r``      hash: the replicas and what they follow
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

from envs.catalogue import Catalogue
from envs.encoding import Encoding
from envs.users import UserState, pack
from serving.security import BUCKETS, bucket_of, user_of

REMEMBERED: Final = 32
"""Event keys that each user keeps against repetition."""


class Space:
    """The keys of one catalogue."""

    def __init__(self, catalogue: Catalogue) -> None:
        width = pack(UserState.empty(catalogue, 1, REMEMBERED)).shape[1]
        self.tag = _short(f"{Encoding(catalogue).hash} {width} {REMEMBERED}")
        self.business = _short(catalogue.name)

    def user(self, user: str) -> str:
        """A hashed user."""
        return self._of_user(user, "u")

    def of_user(self, user: str) -> str:
        """The ids of a user's decisions."""
        return self._of_user(user, "i")

    def linked(self, user: str) -> str:
        """The identities that lead to a person."""
        return self._of_user(user, "k")

    def merged(self, user: str) -> str:
        """The merges into a person that are done."""
        return self._of_user(user, "m")

    def decision(self, decision_id: str) -> str:
        """A decision, in the slot of its user."""
        return f"{_tagged(bucket_of(user_of(decision_id)))}:{self.tag}:d:{decision_id}"

    def event(self, user: str, event: str) -> str:
        """An event of the Personalizer door, in the slot of its user."""
        return f"{_tagged(bucket_of(user))}:{self.tag}:o:{event}"

    def events_of(self, user: str) -> str:
        """The hashes of a user's events of the Personalizer door."""
        return self._of_user(user, "n")

    def stream(self, user: str) -> str:
        """The journal stream of a hashed user."""
        return self.stream_of(bucket_of(user))

    def stream_of(self, bucket: int) -> str:
        """The journal stream of a bucket."""
        return f"{_tagged(bucket)}:{self.tag}:j"

    def streams(self) -> list[str]:
        """All journal streams, by bucket."""
        return [self.stream_of(bucket) for bucket in range(BUCKETS)]

    def waiting(self, bucket: int) -> str:
        """The deferred decisions of a bucket."""
        return f"{_tagged(bucket)}:{self.tag}:w"

    def spent(self, bucket: int, period: int) -> str:
        """What the decisions of a bucket have reserved in a period."""
        return f"{_tagged(bucket)}:{self.business}:s:{period}"

    def budget(self, period: int) -> str:
        """The budget of a period."""
        return f"sl:{{budget}}:{self.business}:b:{period}"

    def policies(self) -> str:
        """What serves."""
        return f"sl:{{policies}}:{self.business}:p"

    def policy_change(self, change: str) -> str:
        """What came of a change of what serves."""
        return f"sl:{{policies}}:{self.business}:c:{change}"

    def bundle(self, content_hash: str) -> str:
        """The files of a bundle."""
        return f"sl:{{policies}}:{self.business}:x:{content_hash}"

    def replicas(self) -> str:
        """The replicas and what they follow."""
        return f"sl:{{policies}}:{self.business}:r"

    def _of_user(self, user: str, kind: str) -> str:
        return f"{_tagged(bucket_of(user))}:{self.tag}:{kind}:{user}"


def _tagged(bucket: int) -> str:
    return f"sl:{{b{bucket:02}}}"


def _short(text: str) -> str:
    return blake2b(text.encode(), digest_size=4).hexdigest()
