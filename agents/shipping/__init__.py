"""Policies put to use: whole files decided for, smaller, portable.

* ``score``, ``pieces``, ``scoring``: a file of users -> decisions; ``decision_files``: as Parquet.
* ``distil``, ``distilling``: a small policy of a large one, and what that costs.
* ``export``: a policy as one ONNX file.
"""
