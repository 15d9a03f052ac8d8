"""Steps a second of RecoGym; run by a Python that has RecoGym and nothing else of ours."""

import time

from recogym import env_1_args  # type: ignore[import-not-found]  # has its own Python
from recogym.envs import RecoEnv1  # type: ignore[import-not-found]

SECONDS = 3.0


def main() -> None:
    """Recommend one product to user after user for some seconds of processor time, print the rate.

    A step is one recommendation with the product views until the next one; its first second, in
    which its functions are compiled, does not count. A fixed product is the fastest choice.
    """
    env = RecoEnv1()
    env.init_gym({**env_1_args, "random_seed": 0})
    rate(env, 1.0)
    print(rate(env, SECONDS))


def rate(env: RecoEnv1, seconds: float) -> float:
    """Steps a second of processor time."""
    steps, user, started = 0, 0, time.process_time()
    while time.process_time() - started < seconds:
        env.reset(user)
        user += 1
        _, _, done, _ = env.step(None)
        while not done:
            _, _, done, _ = env.step(0)
            steps += 1
    return steps / (time.process_time() - started)


if __name__ == "__main__":
    main()
