# Everything starts here: `make help`. Nothing but Python 3.11 and make is needed.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
BIN := $(VENV)/bin
RUNTIME := $(VENV)/.runtime-installed
TOOLS := $(VENV)/.tools-installed

# Compile once at installation, not at each start; LightGBM's threads must not spin on a busy machine.
export UV_COMPILE_BYTECODE := 1
export OMP_WAIT_POLICY ?= passive

.PHONY: help demo test check format bench notebook lock clean

help: ## Show what can be made
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(RUNTIME) ## Write demo/, train on a year of grocery trips, list who is about to leave
	@$(BIN)/corredor demo
	@echo "(before it: source $(VENV)/bin/activate)"

test: $(TOOLS) ## Linters, types, import walls, then all tests (builds .venv first if needed)
	@status=0; \
	$(MAKE) --no-print-directory check || status=1; \
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile || status=1; \
	exit $$status

check: $(TOOLS) ## Linters, types and import walls only
	@status=0; \
	$(BIN)/ruff check . || status=1; \
	$(BIN)/ruff format --check . || status=1; \
	$(BIN)/mypy || status=1; \
	$(BIN)/lint-imports || status=1; \
	exit $$status

format: $(TOOLS) ## Sort imports and format the code
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

bench: $(TOOLS) ## Measure the engine beside DuckDB, Polars and pandas, and a request beside an echo
	@OMP_NUM_THREADS=1 $(BIN)/python -m tests.benchmarks.features
	@OMP_NUM_THREADS=1 $(BIN)/python -m tests.benchmarks.corridor
	@OMP_NUM_THREADS=1 $(BIN)/python -m tests.benchmarks.nightly
	@OMP_NUM_THREADS=1 $(BIN)/python -m tests.benchmarks.request
	@OMP_NUM_THREADS=1 $(BIN)/python -m tests.benchmarks.treeshap

notebook: $(TOOLS) demo/corredor.toml ## Execute the notebooks again, in place
	@$(BIN)/python -m pytest --nbmake --overwrite notebooks

demo/corredor.toml:
	@$(MAKE) --no-print-directory demo

lock: | $(BIN)/python ## Resolve the dependencies anew and pin them with hashes
	@for set in "demo:requirements.lock" "demo --extra dev --extra spark:requirements-dev.lock"; do \
	  $(BIN)/uv export --quiet --upgrade --format requirements-txt --no-emit-project --no-header \
	    --no-emit-index-url --no-annotate --extra $${set%%:*} --output-file $${set##*:} >/dev/null; \
	done; rm -f uv.lock
	@if grep -nE 'https?:' requirements*.lock; then echo "an address is in the lock: do not commit it"; exit 1; fi

clean: ## Remove the environment, the demo and all caches
	@rm -rf $(VENV) demo build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))' \
	  || { echo "Corredor needs Python 3.11 or 3.12: make PYTHON=/path/to/python3.11 …"; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet "uv>=0.9" || echo "no uv here: installing by pip, which takes longer"

$(RUNTIME): requirements.lock pyproject.toml | $(BIN)/python
	@echo "installing into $(VENV) …"
	@$(call install,requirements.lock)
	@touch $@

$(TOOLS): requirements-dev.lock pyproject.toml | $(BIN)/python
	@echo "installing into $(VENV), with the tools of development …"
	@$(call install,requirements-dev.lock)
	@touch $@ $(RUNTIME)

# All that is pinned is checked against its hash; then the project itself, editable.
define install
if [ -x $(BIN)/uv ]; then \
  VIRTUAL_ENV=$(abspath $(VENV)) $(BIN)/uv pip install --quiet --require-hashes --requirements $(1) && \
  VIRTUAL_ENV=$(abspath $(VENV)) $(BIN)/uv pip install --quiet --no-deps --editable . ; \
else \
  $(BIN)/python -m pip install --quiet --require-hashes --requirement $(1) && \
  $(BIN)/python -m pip install --quiet --no-deps --editable . ; \
fi
endef
