"""The Gymnasium environments, on the synthetic world."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode, VectorEnv

import simulators  # noqa: F401 (registers the environments)
from envs.decisions import draw_actions
from envs.encoding import Encoding
from envs.errors import InputError
from envs.offer_env import OfferVectorEnv
from envs.rules import reserve_cents
from simulators.make import world_factory
from simulators.world import SyntheticWorld

PARTS = ("margin_cents", "offer_cost_cents", "contact_cost_cents", "opt_out_cost_cents")


def vector(n: int, **arguments: float) -> VectorEnv:
    return gym.make_vec(
        "simulators:SceneLift-v0",
        num_envs=n,
        vectorization_mode="vector_entry_point",
        **arguments,
    )


def allowed_at_random(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    rows = mask / mask.sum(axis=1, keepdims=True)
    return draw_actions(rows.astype(np.float64), rng.random(len(mask)))


def test_the_scalar_environment_passes_the_checks_of_gymnasium() -> None:
    env = gym.make("simulators:SceneLift-v0")
    check_env(env.unwrapped, skip_render_check=True)
    assert env.action_space == gym.spaces.Discrete(31)


def test_the_vector_environment_keeps_to_its_spaces() -> None:
    env = vector(5)
    assert env.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    env.action_space.seed(0)
    observation, info = env.reset(seed=3)
    assert env.observation_space.contains(observation)
    assert info["user"].tolist() == [0, 1, 2, 3, 4]
    for _ in range(30):
        observation, reward, terminated, truncated, _ = env.step(env.action_space.sample())
        assert env.observation_space.contains(observation)
        assert observation["action_mask"][:, 0].all()
        assert reward.shape == terminated.shape == truncated.shape == (5,)


def test_every_cent_of_reward_is_in_its_parts_and_the_budget_price_is_paid() -> None:
    env, rng = vector(64, budget_price=0.5), np.random.default_rng(0)
    observation, _ = env.reset(seed=1)
    spent = 0
    for _ in range(120):
        actions = allowed_at_random(observation["action_mask"], rng)
        observation, reward, _, _, info = env.step(actions)
        margin, offer, contact, opt_out = (info[name].astype(np.int64) for name in PARTS)
        assert (info["net_cents"] == margin - offer - contact - opt_out).all()
        assert (info["spend_cents"] == offer + contact).all()
        assert np.allclose(reward, info["net_cents"] - 0.5 * info["spend_cents"])
        spent += int(info["spend_cents"].sum())
    assert spent > 0


def test_the_same_seed_brings_the_same_persons_and_the_same_luck() -> None:
    def play(seed: int) -> list[float]:
        env, rng = vector(8), np.random.default_rng(0)
        observation, _ = env.reset(seed=seed)
        rewards = []
        for _ in range(100):
            actions = allowed_at_random(observation["action_mask"], rng)
            observation, reward, *_ = env.step(actions)
            rewards += reward.tolist()
        return rewards

    assert play(5) == play(5)
    assert play(5) != play(6)


def test_a_masked_action_is_played_as_silence() -> None:
    """Cents count: contacts cost nothing and nobody can opt out when nothing is sent."""
    rude, silent = vector(32), vector(32)
    first, _ = rude.reset(seed=2)
    silent.reset(seed=2)
    for _ in range(100):
        forbidden = np.argmin(first["action_mask"], axis=1)  # 0 where everything is allowed
        first, reward, *_, info = rude.step(forbidden)
        _, expected, *_ = silent.step(np.zeros(32, np.int64))
        assert reward.tolist() == expected.tolist()
        assert not info["spend_cents"].any()


def test_a_row_that_ended_shows_its_next_person_one_step_later() -> None:
    env = vector(4, days=2.0)
    _, info = env.reset(seed=0)
    ended = np.zeros(4, bool)
    met = set(info["user"].tolist())
    for _ in range(80):
        before = info
        _, reward, terminated, truncated, info = env.step(np.zeros(4, np.int64))
        new = info["user"] != before["user"]
        assert (new == ended).all()
        assert (info["opportunity"][new] == 0).all()
        assert (reward[ended] == 0).all()
        assert not (terminated | truncated)[ended].any()
        assert met.isdisjoint(info["user"][new].tolist())
        met.update(info["user"][new].tolist())
        ended = terminated | truncated
    assert len(met) > 8


def test_the_budget_price_is_the_last_feature() -> None:
    observation, _ = vector(3, budget_price=1.25).reset(seed=0)
    assert observation["observations"][:, -1].tolist() == [1.25] * 3


@pytest.mark.parametrize(
    "wrong", [{"days": 0.0}, {"budget_price": -1.0}, {"budget_price": float("nan")}]
)
def test_wrong_arguments_are_refused_by_name(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError, match=next(iter(wrong))):
        vector(2, **wrong)


@pytest.mark.parametrize("actions", [[0, 0, 31], [0, 0], [-1, 0, 0]])
def test_actions_that_do_not_exist_are_refused(actions: list[int]) -> None:
    env = vector(3)
    env.reset(seed=0)
    with pytest.raises(InputError, match="actions of shape"):
        env.step(np.asarray(actions))


def test_the_docstring_names_every_block_of_features_and_everything_in_info() -> None:
    specification = OfferVectorEnv.__doc__ or ""
    env = vector(2)
    env.reset(seed=0)
    *_, info = env.step(np.zeros(2, np.int64))
    for key in info:
        assert f"``{key}``" in specification, key
    blocks = {"scene=NAME", "attribute=NAME:VALUE"}  # as the table writes them
    for name in Encoding(world_factory().catalogue).names:
        stem, colon, rest = name.partition(":")
        if not colon and "=" not in name:
            blocks.add(name)
        elif stem in ("cap_used", "consent"):
            blocks.add(f"{stem}:{'CAP' if stem == 'cap_used' else 'CHANNEL'}")
        elif stem.startswith("attribute") and "=" not in name:
            blocks.add(f"{stem}:NAME")
        elif colon and not stem.startswith("attribute"):
            exact = rest in ("spend", "discount")
            kind = rest if exact else "KIND" if stem == "count" or "/" not in rest else "contacted"
            blocks.add(f"{stem}:{kind}" + ("/CHANNEL" if "/" in rest else ""))
    for block in blocks:
        assert f"``{block}``" in specification, block


def test_a_world_is_made_at_each_reset_and_never_before() -> None:
    class Counting:
        catalogue = world_factory().catalogue
        made = 0

        def __call__(self, num_users: int, seed: int) -> SyntheticWorld:
            self.made += 1
            return SyntheticWorld(num_users, seed)

    worlds = Counting()
    env = OfferVectorEnv(worlds, num_envs=2)
    with pytest.raises(gym.error.ResetNeeded):
        env.step(np.zeros(2, np.int64))
    assert worlds.made == 0
    env.reset(seed=0)
    env.reset(seed=1)
    assert worlds.made == 2


def test_what_was_handed_out_stays_as_it_was() -> None:
    env, rng = vector(50, days=3.0), np.random.default_rng(0)
    observation, _ = env.reset(seed=4)
    kept = []
    for _ in range(40):
        actions = allowed_at_random(observation["action_mask"], rng)
        observation, reward, terminated, truncated, info = env.step(actions)
        handed = [*observation.values(), reward, terminated, truncated, *info.values()]
        kept += [(array, array.copy()) for array in handed]
    assert all(np.array_equal(array, copy) for array, copy in kept)


def test_no_action_is_allowed_that_the_worlds_budget_cannot_pay() -> None:
    env, rng = vector(300, preset="budget"), np.random.default_rng(0)
    observation, _ = env.reset(seed=0)
    reserve = reserve_cents(env.unwrapped.world.catalogue)
    refused = 0
    for _ in range(60):
        left = np.broadcast_to(env.unwrapped.world.budget_left(), 300)
        dear = reserve > left[:, None]
        refused += int(dear[:, 1:].sum())
        assert not (observation["action_mask"].astype(bool) & dear)[:, 1:].any()
        observation, *_ = env.step(allowed_at_random(observation["action_mask"], rng))
    assert refused > 0
