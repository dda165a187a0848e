# make demo: install, train on data/diamonds.csv, write runs/demo/report.html
# make test: install and run the suite      make lint | pages | docs | test-long | test-oldest | lock | clean
SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test test-long test-oldest lint pages docs lock clean

# Bytecode beside the environment, also where it is switched off: without it each process compiles all that it imports.
export PYTHONPYCACHEPREFIX := $(CURDIR)/build/bytecode
unexport PYTHONDONTWRITEBYTECODE

TIME_LIMIT ?= 5m
JOBS ?= 2
# XLA's own level of optimisation; the quick suite has less (tests/conftest.py).
AS_USERS := --xla_cpu_multi_thread_eigen=false
SIDE_BY_SIDE := --numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder -m "not long"
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input install --quiet --no-compile

help:
	@sed -n '1,2s/^# //p' Makefile

demo: $(VENV)/.package
	@mkdir -p runs
	$(BIN)/shoal fit data/diamonds.csv --out runs/demo --overwrite --time-limit $(TIME_LIMIT)

test: $(VENV)/.package $(VENV)/.dev
	@scripts/system_packages.sh chromium
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) $(PYTEST)

test-long: $(VENV)/.package $(VENV)/.dev
	@scripts/system_packages.sh chromium
	XLA_FLAGS="$(AS_USERS)" $(BIN)/python -m pytest -m long $(PYTEST)
	$(if $(PYTEST),,XLA_FLAGS="$(AS_USERS)" $(BIN)/python -m pytest $(SIDE_BY_SIDE) tests/laws tests/bijections)

# The suite beside the oldest versions that pyproject.toml allows, in build/oldest.
test-oldest:
	@scripts/system_packages.sh chromium
	@python=$${PYTHON:-python3.11} && scripts/system_packages.sh venv "$$python" && "$$python" scripts/oldest.py $(PYTEST)

lint: $(VENV)/.package $(VENV)/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright --threads $(JOBS)
	$(BIN)/lint-imports

# Every page of docs/ that a script writes. `python scripts/NAME_page.py --picture` also draws the charts of some.
pages: $(VENV)/.package $(VENV)/.dev
	@for script in scripts/*_page.py; do echo "$$script" && $(BIN)/python "$$script" || exit 1; done

docs: $(VENV)/.package $(VENV)/.dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "The documentation lies at $(CURDIR)/site/index.html"

# Installs need no network twice: each stamp is newer than what it was made from.
$(VENV)/.made:
	@python=$${PYTHON:-$$(scripts/find_python.sh)} && scripts/system_packages.sh venv "$$python" && "$$python" -m venv $(VENV)
	@touch $@

$(VENV)/.core: requirements.lock | $(VENV)/.made
	@echo "Installing the core into $(VENV) (about 300 MB to fetch) ..."
	@$(PIP) --requirement requirements.lock
	@touch $@

$(VENV)/.dev: requirements-dev.lock | $(VENV)/.core
	@echo "Installing the tools for tests, lint and documentation into $(VENV) ..."
	@$(PIP) --requirement requirements-dev.lock
	@touch $@

$(VENV)/.package: pyproject.toml $(VENV)/.core
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

lock:
	@python=$${PYTHON:-python3.11} && scripts/system_packages.sh venv "$$python" && rm -rf build/lock && "$$python" -m venv build/lock
	@build/lock/bin/python scripts/lock.py
	@rm -rf build/lock && rmdir build 2>/dev/null || true

clean:
	rm -rf $(VENV) build dist site .pytest_cache .ruff_cache .import_linter_cache .hypothesis
