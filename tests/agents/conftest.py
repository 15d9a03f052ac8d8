"""What the learners' tests share: one small Ray for all of them."""

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="package")
def small_ray() -> Iterator[None]:
    from simulators.cluster import quiet_ray

    with quiet_ray(None):
        yield
