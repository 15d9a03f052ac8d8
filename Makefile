# SceneLift: `make demo`, `make test`, `make check`. Needs Python 3.11 or newer and make, nothing else.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
PY := .venv/bin/python
STAMP := .venv/.installed
# Two files of tests at a time: each of them may start a Ray.
PYTEST := $(PY) -m pytest -n 2 --dist loadfile

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test check format lint types fast-tests

help:
	@echo 'make demo    set up, train, serve, send simulated users, print the lift; the API stays up until Ctrl-C'
	@echo 'make test    set up, run every test'
	@echo 'make check   format, lint, types, fast tests'
	@echo 'make .venv   set up only'

demo: $(STAMP)
	@exec $(PY) -m benchmarks.demo

test: $(STAMP)
	$(PYTEST)

# Types and tests side by side: two cores are busy about as long.
check: format lint
	@$(MAKE) --no-print-directory -j2 --output-sync=target types fast-tests

format: $(STAMP)
	$(PY) -m ruff format --check .

lint: $(STAMP)
	$(PY) -m ruff check .

types: $(STAMP)
	$(PY) -m mypy

fast-tests: $(STAMP)
	$(PYTEST) -q -m "not slow"

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
