"""Settings that every test shares."""

import os

# Ray's own authentication is for clusters on a network; said once, before Ray is imported.
os.environ.setdefault("RAY_AUTH_MODE", "disabled")
# Tests share the cores with what they start, and with each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("RAY_worker_niceness", "0")
