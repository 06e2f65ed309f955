# Each target makes .venv when it is missing; nothing else is needed than Python 3.11+, make and git.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
KERAS_TESTS := tests/tracker_keras
PYTHONS ?= newest
SHARE ?= 1

# The tests that need neither Keras nor PyTorch, in an environment without them. What does not depend on the version
# of Python or of a dependency is left to `make test`: pages, wheel and import rules (project), and what disks, signals
# and other processes do to a database (faults).
CORE ?= .venv-core
CORE_PINS ?=
CORE_TESTS := tests --ignore=$(KERAS_TESTS) --ignore=tests/tracker_torch --ignore=tests/adapters --ignore=tests/programs --ignore=tests/faults --ignore=tests/project --ignore=tests/web

# The tests of the integrations, in an environment that adds the neighbours to what .venv has: pip sees both, and
# installs only what is not there.
NEIGHBOURS ?= .venv-neighbours
# Not fastai, which brings spaCy and torchvision, and not Ray, which takes a minute to start its workers. Their tests
# run where they are installed.
# S3_SERVER: a store with the protocol of S3, and what speaks it, for tests/test_remote_s3.py.
S3_SERVER := s3fs 'moto[s3]>=5' flask flask-cors
NEIGHBOUR_EXTRAS := lightning,pytorch-lightning,transformers,accelerate,optuna,ignite,skorch,lightgbm,catboost,hydra,keras-tuner,scikit-learn,xgboost
NEIGHBOUR_PINS ?=
# What only the neighbours' own suites ask for.
SUITES := cmaes

# The tests start hundreds of processes: where nothing compiled may be written, each compiles all modules anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help .venv demo test test-core test-lowest test-pythons test-neighbours test-neighbours-lowest check format lint types bench docs clean faults faults-planted faults-peers

help:  ## what there is
	@grep -hE '^[a-z.-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

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

test-core:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 …")'
	@test -x $(CORE)/bin/python || $(PYTHON) -m venv $(CORE)
	@$(CORE)/bin/python -m pip install --quiet --disable-pip-version-check $(CORE_PINS) --editable '.[test]'
	$(CORE)/bin/python -m pytest -n 2 $(CORE_TESTS)

test-lowest: constraints-lowest.txt  ## the core tests with the lowest version of each core dependency
	@$(MAKE) --no-print-directory test-core CORE=.venv-lowest CORE_PINS='--constraint constraints-lowest.txt'

test-pythons: $(READY)  ## the core tests on the newest Python that the machine has; PYTHONS=all: on each from 3.11 up
	@.ci/pythons $(PYTHONS)

test-neighbours: $(NEIGHBOURS)/.ready  ## the integrations, with the newest version of each neighbour; copies over S3, signatures
	KERAS_BACKEND=torch $(NEIGHBOURS)/bin/python -m pytest -n 2 tests/tracker_integrations tests/test_remote_s3.py tests/checkpointing/test_signature.py

test-neighbours-lowest: constraints-lowest-neighbours.txt  ## the integrations, with the lowest version of each neighbour that is declared
	@$(MAKE) --no-print-directory test-neighbours NEIGHBOURS=.venv-neighbours-lowest NEIGHBOUR_PINS='--constraint constraints-lowest-neighbours.txt'

$(NEIGHBOURS)/.ready: $(READY) pyproject.toml constraints.txt
	@test -x $(NEIGHBOURS)/bin/python || $(PYTHON) -m venv $(NEIGHBOURS)
	@$(BIN)/python -c 'import site; print(site.getsitepackages()[0])' > "$$($(NEIGHBOURS)/bin/python -c 'import site; print(site.getsitepackages()[0])')/zz-development.pth"
	@$(NEIGHBOURS)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt $(NEIGHBOUR_PINS) --editable '.[$(NEIGHBOUR_EXTRAS),remote,signing]' $(S3_SERVER) $(SUITES)
	@touch $@

constraints-lowest.txt: pyproject.toml .ci/lowest.py
	$(PYTHON) .ci/lowest.py > $@

comma := ,
constraints-lowest-neighbours.txt: pyproject.toml .ci/lowest.py
	$(PYTHON) .ci/lowest.py $(subst $(comma), ,$(NEIGHBOUR_EXTRAS)) > $@

check: lint types test  ## format, lint, types, tests

format: $(READY)  ## format the code, and correct what can be corrected
	$(BIN)/ruff check --fix --quiet .
	$(BIN)/ruff format .

lint: $(READY)  ## is the code formatted, and free of what ruff finds
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(READY)  ## mypy, strict; the page's scripts too, where npm is
	$(BIN)/mypy
	@.ci/types-of-scripts

faults: $(READY)  ## faults of every family, about an hour; SHARE=0.05 tries a twentieth; writes docs/reliability.md
	$(BIN)/python -m tests.faults --share $(SHARE) --write

faults-planted: $(READY)  ## faults in a copy of our code, each of which a family or a test must find; writes docs/reliability.md
	$(BIN)/python -m tests.faults.planted --write

faults-peers: $(READY)  ## the same kills and full disks for other recorders, half an hour; writes docs/reliability.md
	$(BIN)/python -m tests.faults.peers --write

bench: $(READY)  ## speed and memory; writes docs/benchmarks.md
	$(BIN)/python -m benchmarks

docs: $(READY)  ## the site, in site/; a warning is an error
	$(BIN)/python -m mkdocs build --strict

clean:  ## remove what the targets above made
	rm -rf .venv .venv-* demo dist build site .typescript .pytest_cache .mypy_cache .ruff_cache .hypothesis
