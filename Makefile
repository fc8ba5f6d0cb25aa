# Every target creates .venv from constraints.txt first, when it is not there or out of date.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= $(shell command -v python3.12 >/dev/null 2>&1 && python3.12 -c '' >/dev/null 2>&1 && echo python3.12 || (command -v python3.11 >/dev/null 2>&1 && python3.11 -c '' >/dev/null 2>&1 && echo python3.11 || echo python3))
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# without its dependencies: it asks for the dagster of its own day by number, and the newest one is a day behind ours
POSTGRES := dagster-postgres==0.29.27

.PHONY: help demo label-studio dev simulate-year test lint format integration integration-long bench clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' \
	  || { echo "stylegraph needs Python 3.11 or 3.12; name one with: make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)"; exit 1; }
	@echo "Installing into $(VENV) (2 to 4 minutes, once)"
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps $(POSTGRES)
	@touch $(READY)

demo: $(READY)  ## from nothing to trained models and a report; LABEL_STUDIO=1: with a live Label Studio
	@$(BIN)/stylegraph demo $(if $(LABEL_STUDIO),--label-studio)

label-studio: $(READY)  ## a Label Studio server on 127.0.0.1 for trying
	@$(BIN)/stylegraph label-studio

dev: $(READY)  ## the Dagster UI on 127.0.0.1, on the instance of the last run
	@$(BIN)/stylegraph dev

simulate-year: $(READY)  ## 52 simulated weeks through the real schedules and sensors: what was planted beside what was found
	@$(BIN)/python -m pipeline.simulation

test: $(READY)  ## everything that needs no server of its own
	@$(BIN)/python -m pytest

integration: $(READY)  ## real servers, a browser and a shortened demo
	@$(BIN)/python -m pytest -m "integration and not long"

integration-long: $(READY)  ## those that take minutes each: a short simulated year, unattended weeks, kill -9 of services, the UI of operation, S3, PostgreSQL
	@$(BIN)/python -m pytest -m "integration and long"

lint: $(READY)  ## ruff and mypy
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: $(READY)  ## let ruff mend what it can
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: $(READY)  ## every script in benchmarks/, one after the other, and the peers that they measure against
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,bench]'
	@for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python "$$script"; done

clean:  ## remove the environment and what was built; data stays
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info
