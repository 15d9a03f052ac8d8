"""What the learners' tests share: one small Ray for all of a file."""

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module")
def small_ray() -> Iterator[None]:
    from simulators.cluster import quiet_ray

    with quiet_ray(None):
        yield
