"""What serves on each of several replicas, as the tests of policies start it."""

from contextlib import contextmanager

from serving.policies.policies import Policies
from serving.settings import Settings
from serving.store.keys import Space
from tests.serving.live import SECRET


@contextmanager
def replica(redis_url, catalogue, spec="rule_book", **settings):
    """What serves on one replica of several, without HTTP; it asks when the test says so."""
    policies = Policies(catalogue, Settings(redis_url, SECRET, **settings), Space(catalogue))
    assert spec is None or policies.configure(spec)
    try:
        yield policies
    finally:
        policies.close()
