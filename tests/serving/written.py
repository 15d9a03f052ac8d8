"""What the files of a journal hold, for the tests that write it."""

from serving.journal.rows import DECISIONS


def decision_ids(files):
    return sorted(files.rows(DECISIONS)["decision_id"].to_pylist())
