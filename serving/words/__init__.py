"""What callers say and are told.

* ``bodies``: what the HTTP calls take and give; ``vocabulary``: a caller's words, understood.
* ``signals``: what an app has in place of the scene, understood.
* ``location``: where a caller is, as inexactly as it may be kept.
* ``failures``: what a caller is told when something is wrong.
* ``documents``: how the calls are described in OpenAPI.
"""
