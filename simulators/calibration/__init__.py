"""The world held to what real people did.

* ``command``: the command; ``report``, ``pictures``: what it leaves in docs/.
* ``published``: what real people did; ``sources``: how it follows from public files; ``jackknife``:
  intervals of both sides.
* ``trials``: what the replays of studies share; ``quiet_weeks``, ``mail_trial``, ``push_trial``,
  ``offer_trial``: the replays; ``experiments``: which figure comes of which.
* ``fitting``, ``fitted_file``: the numbers that are fitted; ``sensitivity``: what halving and
  doubling the assumed ones does.
"""
