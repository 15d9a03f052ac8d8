"""Steps a second of RecSim's interest evolution; run by a Python that has RecSim, nothing else."""

import time

from recsim.environments import (  # type: ignore[import-not-found]  # has its own Python
    interest_evolution,
)

SECONDS = 3.0


def main() -> None:
    """Step with a fixed slate for some seconds of processor time, then print the rate.

    Documents are kept between steps: the setting in which RecSim is fastest, about twice.
    """
    settings = {"num_candidates": 10, "slate_size": 2, "resample_documents": False, "seed": 0}
    env = interest_evolution.create_environment(settings)
    env.reset()
    steps, started = 0, time.process_time()
    while time.process_time() - started < SECONDS:
        _, _, done, _ = env.step([0, 1])
        steps += 1
        if done:
            env.reset()
    print(steps / (time.process_time() - started))


if __name__ == "__main__":
    main()
