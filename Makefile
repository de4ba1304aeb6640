# Flotilla. Needs Python 3.11, git and make; everything else is set up here.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
# Two files of tests at a time: tests of one file share what they deploy.
PYTEST_ARGS ?= -n 2 --dist loadfile
# In memory: a thousand devices' flash is not the disk of one machine.
FLEET_FOLDER ?= /dev/shm/flotilla-fleet

.DEFAULT_GOAL := help
.PHONY: help setup functions lambda up down test check plan bench fuzz fleet mutate judges clean

help: ## what can be done here
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | sort

$(VENV)/.runtime: requirements.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

$(VENV)/.development: requirements.txt requirements-dev.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $(VENV)/.runtime $@

setup: $(VENV)/.development ## a virtual environment with everything pinned

lambda: setup ## package the Lambda functions for AWS, before each `pulumi up`
	@$(BIN)/python scripts/package_functions.py --for aws

functions: setup ## package the Lambda functions for the embedded AWS
	@$(BIN)/python scripts/package_functions.py

judges: ## the independent judges the tests ask (apt; root or sudo)
	@scripts/install-judges

up: setup functions ## deploy dev into the embedded AWS, issue a device, see its data arrive
	@$(BIN)/python -m local story

down: setup ## stop what `make up` left running
	@$(BIN)/python -m local down --all

test: setup functions judges ## the whole test suite
	@$(BIN)/python -m pytest $(PYTEST_ARGS)

check: setup functions ## ruff, mypy, import layers, plans up to date
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m local plan --check

plan: setup ## render every stack to its committed plan, without credentials
	@$(BIN)/python -m local plan

bench: setup functions judges ## the benchmarks, as ratios; also build/bench.json
	@$(BIN)/python -m benchmarks

fuzz: setup ## a million hostile batches against both decoders; the tests run a share
	@$(BIN)/python -m benchmarks.fuzzing

fleet: setup functions ## 1,000 agents through everything on the embedded cloud; twelve minutes
	@FLEET=1000 PACE=5 $(BIN)/python -m pytest -s tests/e2e/test_simulated_fleet.py --basetemp $(FLEET_FOLDER)

mutate: setup ## the issuing core with one fault at a time: how many its own tests catch; an hour
	@$(BIN)/pip install --quiet --disable-pip-version-check mutmut==3.8.1
	@$(BIN)/mutmut run

clean: down ## remove what was built
	rm -rf build mutants $(VENV)
