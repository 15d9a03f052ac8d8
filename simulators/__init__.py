"""Worlds that pose offer decisions: synthetic users and logged campaigns.

Room map, each file one concept:

* ``draws``: luck as a function of seed, user, opportunity and purpose.
* ``presets``: every number of the synthetic world, with its source.
* ``population``: who the users are.
* ``scenes``: where they go and when.
* ``hidden``: need, fatigue, the discount they are used to.
* ``behaviour``: how they react, as chances.
* ``contacts``, ``baskets``, ``reports``: what came of contacts, what was bought, what is seen.
* ``world``: one step of everybody's life as a numbered story.
* ``rollout``, ``trace``, ``replay``: playing a policy, keeping what happened, playing it again.
* ``logged``: logs of real campaigns; ``traffic``: the users as clients of a service.
* ``bench``: how fast it is.

Importing the room registers ``SceneLift-v0`` with Gymnasium.
"""

from __future__ import annotations

import gymnasium

gymnasium.register(
    id="SceneLift-v0",
    entry_point="simulators.make:offer_env",
    vector_entry_point="simulators.make:offer_vector_env",
)
