# Everything a person needs; each target sets up .venv by itself, once per lock file.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c

VENV := .venv
STAMP := $(VENV)/.ready
BIN := $(VENV)/bin
PYTEST := $(BIN)/pytest
WORKERS ?= 2

.PHONY: help setup demo test test-fast faults histories exhaustive fuzz mutants check bench leader-loss soak fmt clean lock

help: ## Say what the targets do
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(STAMP) ## Make .venv from requirements.lock

$(STAMP): requirements.lock pyproject.toml
	@python="$$(bash .ci/python)"; \
	echo "setting up $(VENV) with $$python"; \
	rm -rf $(VENV); "$$python" -m venv $(VENV); \
	$(BIN)/python -m pip install --quiet --no-deps --require-hashes --only-binary :all: -r requirements.lock; \
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --no-index -e .; \
	$(BIN)/python -m pip check; \
	touch $(STAMP)

demo: $(STAMP) ## Five departments share data under grants and an auditor checks them (KEEP=1 leaves them running)
	@$(BIN)/concordat demo $(if $(KEEP),--keep)

check: $(STAMP) ## Format, lint, types, import arrows, Dockerfile
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@if [ -f docker/Dockerfile ]; then $(BIN)/hadolint docker/Dockerfile; fi

test: check ## Every test but faults, soak and bench, with coverage of the cores
	$(PYTEST) -n $(WORKERS) --dist worksteal -m "not faults and not histories and not soak and not bench" --cov --cov-report=term

test-fast: $(STAMP) ## The tests that take at most a minute
	$(PYTEST) -n $(WORKERS) --dist worksteal -m "not faults and not histories and not soak and not bench and not demo" tests/unit tests/paper tests/scenarios

faults: $(STAMP) ## Kills, power loss, namespaces, containers (root)
	$(PYTEST) -m faults tests/faults

histories: $(STAMP) ## Record and judge a long history under faults (root; FOLDER OPERATIONS FAULTS SEED)
	$(PYTEST) -m histories -s tests/faults

fuzz: $(STAMP) ## What peers may send, fuzzed with coverage (SECONDS=60, CORPUS=folder keeps what was found)
	PYTHONPATH=tests $(BIN)/python -m fuzz.peers -max_total_time=$(or $(SECONDS),60) -artifact_prefix=$(or $(CORPUS),/tmp)/ $(CORPUS)

mutants: $(STAMP) ## Change the consensus core one thing at a time; the tests must notice (PATTERN="consensus.log*")
	WORKERS=$(WORKERS) bash .ci/mutants $(PATTERN)

exhaustive: $(STAMP) ## Every interleaving of three cores within large bounds (BOUNDS="late writes"); minutes
	PYTHONPATH=tests $(BIN)/python -m exhaustive $(if $(BOUNDS),"$(BOUNDS)")

soak: $(STAMP) ## The simulator for as long as SEEDS says
	$(PYTEST) -m soak --timeout 0 -s tests/soak tests/unit/contracts/test_city.py

bench: $(STAMP) ## Speed on real nodes, with ratios to the limit (QUICK=1, WORKLOAD=b, JSON=file, PROFILE=folder, FLAMES=folder)
	PYTHONPATH=tests $(BIN)/python -m bench $(if $(QUICK),--quick) $(if $(WORKLOAD),--workload $(WORKLOAD)) $(if $(JSON),--json $(JSON)) $(if $(PROFILE),--profile $(PROFILE)) $(if $(FLAMES),--flames $(FLAMES))

leader-loss: $(STAMP) ## How long nobody can write after kill -9 of the leader (KILLS=50); etcd beside it, if there
	PYTHONPATH=tests $(BIN)/python -m bench.leader_loss --kills $(or $(KILLS),50)

fmt: $(STAMP) ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean: ## Remove .venv and what tools left
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage .import_linter_cache
