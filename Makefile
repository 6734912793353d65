# Everything a person types in this repository. Nothing has to be set up first: the targets that need
# the virtual environment make it from the locked versions, and make it anew when the lock changes.

VENV := .venv
VENV_PYTHON := $(VENV)/bin/python
READY := $(VENV)/.ready
PYTHON ?=
# Newest first; the first one that is 3.11 or newer and can make an environment wins. `make PYTHON=...` goes before.
PYTHONS := $(PYTHON) python3.13 python3.12 python3.11 python3
# Byte-compiled at first use instead of here, since compiling them takes longer than installing them.
TOOLS := /(hypothesis|mypy|mypyc|numpy|pip|_pytest|pygments|setuptools)/
OURS := meshnode protocol sim
PIP := $(VENV_PYTHON) -m pip --disable-pip-version-check --no-input

.DEFAULT_GOAL := help
.PHONY: help venv demo test check bench lab crash lock clean .compiled

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-7s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

venv: $(READY) ## create .venv with the locked versions (the targets below do it by themselves)

demo: $(READY) .compiled ## a crowd on this machine: real recordings, real discovery, a scripted cut, a live view
	@$(VENV)/bin/meshnode demo

test: $(READY) .compiled ## everything that must pass: format, lint, types and all tests, under ten minutes
	@$(VENV_PYTHON) -m tests.check --full

check: $(READY) .compiled ## the fast loop: format, lint, types, unit, property and tidy tests, under a minute
	@$(VENV_PYTHON) -m tests.check

bench: $(READY) .compiled ## measure ourselves against the limits of this machine
	@$(VENV_PYTHON) -m benchmarks --json

lab: $(READY) .compiled ## real hubs in network namespaces: cut, shaken, moved and killed, for about an hour
	@$(VENV_PYTHON) -m tests.lab

crash: $(READY) .compiled ## kill, cut and fill the store for half an hour: nothing acknowledged may be lost
	@$(VENV_PYTHON) -m tests.crash --kills 500 --power-images 2000 --faults --erasure 1000

lock: $(READY) ## renew requirements.lock within the bounds of pyproject.toml
	@$(PIP) install -qq 'uv>=0.7,<1'
	@$(VENV)/bin/uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --upgrade --quiet \
		--generate-hashes --no-emit-index-url --no-emit-find-links \
		--custom-compile-command 'make lock' --output-file requirements.lock

# Where Python may not write its cache, every process of ours would compile all of it anew: half of a hub's start.
.compiled: $(READY)
	@$(VENV_PYTHON) -m compileall -q $(OURS)

clean: ## back to a fresh clone: remove .venv, caches and build output
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage build dist *.egg-info
	@find . -name .git -prune -o -type d -name __pycache__ -print | xargs rm -rf

$(READY): pyproject.toml requirements.lock
	@if ! $(VENV_PYTHON) -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
		maker= ; lacking= ; \
		for name in $(PYTHONS); do \
			"$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
			if "$$name" -c 'import venv, ensurepip' 2>/dev/null; then maker=$$name; break; fi; \
			lacking=$${lacking:-$$name}; \
		done; \
		if [ -z "$$maker" ] && [ -n "$$lacking" ]; then \
			echo "make: $$lacking lacks venv or ensurepip; on Debian or Ubuntu: apt install python3-venv" >&2; exit 2; \
		elif [ -z "$$maker" ]; then \
			echo "make: no Python 3.11 or newer found (tried: $(strip $(PYTHONS))); name one with PYTHON=/path/to/python" >&2; exit 2; \
		fi; \
		echo "Making $(VENV) with $$("$$maker" --version)"; \
		"$$maker" -m venv --clear $(VENV) \
			|| { echo "make: $$maker could not make $(VENV); is this folder writable, and is the disk full?" >&2; exit 2; }; \
	fi
	@echo "Installing the locked versions into $(VENV)"
	@$(PIP) install -qq --no-compile --require-hashes -r requirements.lock \
		|| { echo "make: the packages of requirements.lock could not be installed (the reason is above)" >&2; exit 2; }
	@$(PIP) install -qq --no-deps --no-build-isolation --editable .
	@$(VENV_PYTHON) -m compileall -qq -j 0 -x '$(TOOLS)' $(VENV)/lib
	@touch $@
