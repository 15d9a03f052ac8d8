"""What goes wrong in real worlds: wrappers that take a world and give a world.

* ``named``: each stress by its name; ``wrapper``: a world around a world.
* ``altered``, ``failures``, ``delays``: people who change, technology that fails, late news.
"""
