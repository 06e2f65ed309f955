# Each target makes .venv when it is missing; nothing else is needed than Python 3.11+, make and git.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
KERAS_TESTS := tests/tracker_keras

.DEFAULT_GOAL := help
.PHONY: help .venv demo test check lint types bench docs clean

help:  ## what there is
	@grep -hE '^[a-z.]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

.venv: $(READY)  ## the virtual environment, with everything for development

$(READY): pyproject.toml constraints.txt
	@echo "Setting up .venv, once: this takes a few minutes, most of it TensorFlow and PyTorch."
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 …")'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $(READY)

demo: $(READY)  ## train six models on real data, then look at what was recorded
	@$(BIN)/python examples/demo.py

test: $(READY)  ## every test; the Keras ones on both backends
	$(BIN)/python -m pytest -n 2 --ignore=$(KERAS_TESTS)
	KERAS_BACKEND=tensorflow $(BIN)/python -m pytest -n 2 $(KERAS_TESTS)
	KERAS_BACKEND=torch $(BIN)/python -m pytest -n 2 $(KERAS_TESTS)

check: lint types test  ## format, lint, types, tests

lint: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(READY)
	$(BIN)/mypy

bench: $(READY)  ## speed and memory; writes docs/benchmarks.md
	$(BIN)/python -m benchmarks

clean:  ## remove what the targets above made
	rm -rf .venv demo dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis
