"""Worlds that pose offer decisions: synthetic users and logged campaigns.

Room map, each file one concept:

* ``draws``: luck as a function of seed, user, opportunity and purpose.
* ``presets``: every number of the synthetic world, with its source; ``stories``: these, one file a
  preset; ``preset_files``: how they build on one another.
* ``population``: who the users are; ``introduction``: what is told of them before they act.
* ``scenes``: where they go and when.
* ``hidden``: need, fatigue, the discount they are used to.
* ``behaviour``: how they react, as chances; ``expectations``: what that is worth on average.
* ``contacts``, ``journey``, ``baskets``, ``reports``: what came of contacts, the way to the next
  scene, what was bought, what an application sees.
* ``purchases``, ``partings``: bought now or later and sometimes returned; channels and people lost;
  ``purse``: what may still be spent on a user.
* ``world``: one step of everybody's life as a numbered story.
* ``signals``: what an app has of the phone and of its own screens, noisy and partly missing.
* ``stress``: what goes wrong in real worlds, by name; ``wrapper``: a world around a world;
  ``altered``, ``failures``, ``delays``: people who change, technology that fails, late news.
* ``make``: the registered environments; ``bench``: how fast they are; ``stopwatch``: part by part;
  ``resident``: how much memory they take; ``peers``, ``peer_recsim``, ``peer_recogym``: how fast
  others are.
* ``rollout``, ``trace``, ``value``: playing a policy, keeping what happened, what it was worth;
  ``rows``, ``content``: what happened as columns, and as a hash.
* ``run``, ``replay``: the commands that make a trace and make it again; ``progress``: their bar;
  ``shards``, ``cluster``: the same on many machines.
* ``oracle``: the command that says how much a policy could be worth; ``yardstick``, ``judging``:
  its work, whole and in pieces; ``panel``: whom it follows; ``verdict``: its ratios;
  ``oracle_plot``: its picture; ``criterion``: what everybody is judged by.
* ``planning``: dynamic programming for one individual; ``grid``, ``week``, ``reactions``,
  ``choices``: what it walks on; ``known_rules``: what it may know; ``extrapolating``: fewer sweeps;
  ``plan``: its answer; ``tabular``, ``finite``: the world that can be solved exactly.
* ``attained``: what players are worth when simulated; ``steadying``: with the luck taken out.
* ``rivals``: honest rivals of the optimum; ``tuning``: at their best; ``filtering``, ``heard``,
  ``imagining``, ``impressions``, ``outstanding``: what a history says of a user.
* ``published``: what real people did; ``sources``: how it follows from public files;
  ``jackknife``: intervals of both sides.
* ``trials``: what the replays of studies share; ``quiet_weeks``, ``mail_trial``, ``push_trial``,
  ``offer_trial``: the replays; ``experiments``: which figure comes of which.
* ``calibrate``: the command that holds the world to them; ``fitting``, ``fitted_file``: the numbers
  that are fitted; ``sensitivity``: what halving and doubling the assumed ones does;
  ``calibration_report``, ``calibration_pictures``: what it leaves in docs/.
* ``logged``, ``log_columns``: logs of decisions, and the checked columns of their files.
* ``mapping``, ``campaign_table``, ``importing``: any table of past campaigns as a log.
* ``traffic``: the HTTP client and its command; ``visitors``, ``customers``: the world's users and
  a log's customers as clients; ``answers``: the service as they see it; ``served``: what a log's
  customers were served.

Importing the room registers ``SceneLift-v0`` with Gymnasium.
"""

from __future__ import annotations

import gymnasium

gymnasium.register(
    id="SceneLift-v0",
    entry_point="simulators.make:offer_env",
    vector_entry_point="simulators.make:offer_vector_env",
)
