"""What an offer decision is: the contract that simulation and production share.

Room map, each file one concept:

* ``catalogue``: scenes, channels, offers, caps and attributes of one business.
* ``clock``: time in arrays, and the user's time zone.
* ``decisions``: the moment, the events, the step, and the draw of an action.
* ``caps``: contact caps as the latest contact times.
* ``layout``: what the arrays of a user state mean.
* ``sums``: decayed sums, kept as of the beginning of an era.
* ``users``: what the service may know of a user; ``advance`` is the only way in.
* ``merging``: two users who turn out to be one person.
* ``rules``: which actions are allowed now, and which rule refused the others.
* ``encoding``: what a policy sees.
* ``scene_reader``: which scene a user is in, from signals and the clock.
* ``rewards``: what the business is paid.
* ``offer_env``: all of it as Gymnasium environments.
* ``commands``: the commands of a room, and how they end.
* ``lineage``: where a result came from; ``aside``: nothing half-written stays.
* ``errors``: what the caller can mend.
"""
