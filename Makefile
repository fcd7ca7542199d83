# Needs git, make, Python >= 3.11 and a package index. Everything else is set up in .venv.
# The first python that is new enough; PYTHON=... chooses another.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# The tests start Python about a thousand times: it reads its bytecode, whatever the caller's shell says.
unexport PYTHONDONTWRITEBYTECODE
# How many tests `make test` runs side by side; each may have a Locust or an AstrBot of its own (some 0.5 GB).
JOBS ?= 8
# The versions of AstrBot that `make test-faults` tries.
FAULTS ?= 4.18.0 4.25.6 4.26.8 latest

.PHONY: help demo check test test-whole test-faults generated lint lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): requirements/dev.txt pyproject.toml
	@if [ -z "$(PYTHON)" ]; then \
		echo "astrometer needs Python 3.11 or newer; none is on PATH. Install one, or say make PYTHON=/path/to/python3" >&2; exit 2; fi
	@"$(PYTHON)" -c 'import venv, ensurepip' 2>/dev/null || { \
		echo "$(PYTHON) has no venv module (on Debian and Ubuntu: apt-get install python3-venv)" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(READY)

demo: $(READY) ## set up, then load and probe the embedded simulator (one to three minutes)
	$(BIN)/astrometer demo --out demo-report

check: lint ## set up, then lint, types and the tests that start no process (about a minute)
	$(BIN)/pytest -n 2 --dist loadfile -m "not process" $(ARGS)

# Tests mostly wait, so there are more of them side by side than cores. What measures how steady the machine is
# runs last and two at a time.
test: lint ## set up, then lint, types and all tests
	$(BIN)/pytest -n $(JOBS) --dist loadfile -m "not alone" $(ARGS)
	$(BIN)/pytest -n 2 --dist load -m alone $$(grep -rl --include='test_*.py' 'mark\.alone' tests) $(ARGS)

test-whole: $(READY) ## also the dashboards against a real AstrBot, a bisection, incidents, CI jobs and all benches (an hour more)
	ASTROMETER_WHOLE=1 $(BIN)/pytest tests/grafana tests/e2e/test_bisect.py tests/e2e/test_incidents.py tests/e2e/test_pull_request_jobs.py tests/test_benches.py $(ARGS)

test-faults: $(READY) ## every fault against real AstrBots of four versions (an hour)
	ASTROMETER_FAULTS="$(FAULTS)" $(BIN)/pytest tests/probing/test_fault_table.py -m astrbot $(ARGS)

generated: $(READY) ## make dashboards, rules and the reference of commands, probes and metrics again from their sources
	$(BIN)/python grafana/build/rules.py
	$(BIN)/python grafana/build/dashboards.py
	$(BIN)/python docs/make_reference.py

lint: $(READY) ## format, lint, types and import arrows only
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

lock: $(READY) ## lock the dependencies again
	PATH="$(CURDIR)/$(BIN):$$PATH" requirements/lock --upgrade

clean: ## remove what make made here
	rm -rf $(VENV) demo-report .pytest_cache .mypy_cache .ruff_cache .hypothesis
