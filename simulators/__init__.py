"""Worlds that pose offer decisions: synthetic users and logged campaigns.

Room map, each file one concept:

* ``world``: one step of everybody's life as a numbered story; begin here.
* ``draws``: luck as a function of seed, user, opportunity and purpose.
* ``presets``: every number of the synthetic world, with its source; ``stories``: these, one file a
  preset; ``preset_files``: how they build on one another.
* ``population``: who the users are; ``introduction``: what is told of them before they act.
* ``scenes``: where they go and when; ``signals``: what an app has of it, noisy and partly missing.
* ``hidden``: need, fatigue, the discount they are used to; ``disclosure``: presets that tell the
  need.
* ``behaviour``: how they react, as chances; ``expectations``: what that is worth on average;
  ``insight``: what a critic is told of it.
* ``contacts``, ``journey``, ``baskets``, ``reports``: what came of contacts, the way to the next
  scene, what was bought, what an application sees.
* ``purchases``, ``partings``: bought now or later and sometimes returned; channels and people lost;
  ``purse``: what may still be spent on a user.
* ``make``: the registered environments.
* ``rollout``, ``trace``, ``value``: playing a policy, keeping what happened, what it was worth;
  ``rows``, ``content``: what happened as columns, and as a hash.
* ``snapshot``: the command that makes a file of users; ``user_columns``, ``user_rows``: what is
  known of each as columns, written and read; ``growing_file``: a file written table by table.
* ``run``, ``replay``: the commands that make a trace and make it again; ``progress``: their bar;
  ``shards``, ``cluster``: the same on many machines.

and folders around the world, each with a map of its own:

* ``oracle``: how much a policy could be worth; ``calibration``: what real people did.
* ``stress``: what goes wrong; ``speed``: how fast the world is.
* ``logs``: worlds that really were; ``clients``: users who ask a service over HTTP.

Importing the room registers ``SceneLift-v0`` with Gymnasium.
"""

from __future__ import annotations

import gymnasium

gymnasium.register(
    id="SceneLift-v0",
    entry_point="simulators.make:offer_env",
    vector_entry_point="simulators.make:offer_vector_env",
)
