# What people and CI both call. `make` alone lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

BIN := .venv/bin
NAMES_A_SERVER = : "$${ONTOMESH_TEST_TERMINUSDB_URL:?names no server; set it to terminusdb://user:password@host:port/organization}"
DISTS := sdk services/chassis services/data-kernel services/event-gateway deploy/local
STAMP := .venv/.complete

.PHONY: help up down demo test chaos test-terminusdb record-terminusdb lint proto bench clean lock venv

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-17s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

up: venv ## start the local stack; on its first run it also does a tour on real data (Ctrl-C stops it)
	@exec $(BIN)/ontomesh up

down: venv ## stop a local stack that runs elsewhere
	@exec $(BIN)/ontomesh down

demo: venv ## do the tour on a throwaway stack and check every step
	@exec $(BIN)/ontomesh demo

test: venv ## run every test
	@exec $(BIN)/python -m pytest -q -n auto --maxprocesses 4 --dist loadgroup $(ARGS)

chaos: venv ## kill, pause and starve real processes under load, for some minutes; `make test` does it for seconds
	@ONTOMESH_TEST_CHAOS=long $(BIN)/python -m pytest -q tests/chaos $(ARGS)

test-terminusdb: venv ## run the contract suite on the TerminusDB server that ONTOMESH_TEST_TERMINUSDB_URL names
	@$(NAMES_A_SERVER)
	@exec $(BIN)/python -m pytest -q -n auto --maxprocesses 4 --dist loadgroup tests/contract -m 'not sqlite' $(ARGS)

# One test at a time: databases that are made at once collide on the server, and the recording would show it.
record-terminusdb: venv ## record what that server answers to the contract suite, for `make test` to replay
	@$(NAMES_A_SERVER)
	@rm -rf build/recordings
	@ONTOMESH_TEST_RECORD_TO=build/recordings $(BIN)/python -m pytest -q tests/contract -m 'terminusdb and not live'
	@rm -rf tests/contract/recordings && mv build/recordings tests/contract/recordings

lint: venv ## check format, style, types, contracts and what files may name
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/python tools/typecheck.py
	$(BIN)/buf lint
	$(BIN)/python tools/check_names.py

proto: venv ## regenerate the stubs from proto/
	@$(BIN)/python tools/stubs.py sdk/src

bench: venv ## measure; prints `name value unit` a line
	@exec $(BIN)/python tests/bench/run.py $(ARGS)

venv: $(STAMP) ## make or refresh the environment in .venv
	@:

lock: venv ## choose the newest third-party versions and pin them in requirements.lock
	@tools/lock.sh $(DISTS)

clean: ## remove everything that can be made again
	rm -rf .venv build dist .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMP): requirements.lock tools/bootstrap.sh $(DISTS:%=%/pyproject.toml)
	@PYTHON='$(PYTHON)' tools/bootstrap.sh $(DISTS)
