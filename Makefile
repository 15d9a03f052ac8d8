# SceneLift: `make demo`, `make test`, `make check`. Needs Python 3.11 or newer and make, nothing else.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
PY := .venv/bin/python
STAMP := .venv/.installed
WORLDS := tests/envs tests/simulators

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test check format lint types world-fast-tests other-fast-tests

help:
	@echo 'make demo    set up, train, serve, send simulated users, print the lift; the API stays up until Ctrl-C'
	@echo 'make test    set up, run every test'
	@echo 'make check   format, lint, types, fast tests'
	@echo 'make .venv   set up only'

demo: $(STAMP)
	@exec $(PY) -m benchmarks.demo

test: $(STAMP)
	$(PY) -m pytest

# Types and tests side by side: two cores are busy about as long.
check: format lint
	@$(MAKE) --no-print-directory -j2 --output-sync=target world-fast-tests types other-fast-tests

format: $(STAMP)
	$(PY) -m ruff format --check .

lint: $(STAMP)
	$(PY) -m ruff check .

types: $(STAMP)
	$(PY) -m mypy

world-fast-tests: $(STAMP)
	$(PY) -m pytest -q -m "not slow" $(WORLDS)

other-fast-tests: $(STAMP)
	$(PY) -m pytest -q -m "not slow" $(WORLDS:%=--ignore=%)

.PHONY: .venv
.venv: $(STAMP)

# Runs again only when what is to be installed has changed.
$(STAMP): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo 'error: no python3 found; install Python 3.11 or newer, or say make PYTHON=/path/to/python3.11' >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "error: $(PYTHON) is $$("$(PYTHON)" -V 2>&1), but Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@test -x $(PY) || "$(PYTHON)" -m venv .venv || { \
		echo 'error: $(PYTHON) cannot create a virtual environment; on Debian: apt-get install python3-venv' >&2; exit 1; }
	@echo 'Setting up .venv: the first time takes a minute or more ...'
	@$(PY) -m pip install -qq --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@
