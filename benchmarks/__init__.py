"""What the whole way is worth: the demo, and how its policies are compared.

Room map, each file one concept:

* ``demo``: train, serve, send simulated users over HTTP, compare, leave the API up.
* ``children``: the programs the demo starts, and how each of them is ended.
* ``comparison``: values per user-week, paired differences and their intervals.
* ``report``: the comparison as a table, a picture and a summary file.
* ``year``: ten thousand users for a year, as a table and a picture (``year_picture``); ``diary``:
  what is noted of them; ``bounds``: what they cannot exceed.
* ``world``: how fast the world is, beside RecSim (``recsim_speed``, in a Python of its own).
"""
