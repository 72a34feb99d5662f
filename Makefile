# Everything a fresh clone needs: `make demo` and `make test` set up .venv by themselves.

# A Python to use; where it is not given, the first of python3, 3.13, 3.12, 3.11 that is new enough.
PYTHON ?=

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# Threads that wait for each other by spinning starve on a busy machine.
export OMP_WAIT_POLICY ?= passive

.DEFAULT_GOAL := help
.PHONY: help install demo test lint bench clean clean-kernels programs

help: ## say what there is
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 22

install: $(STAMP) ## set up .venv with everything, once

# Touched last, so that an interrupted installation is taken up again.
$(STAMP): pyproject.toml constraints.txt
	@bash tools/setup.sh venv $(VENV) "$(PYTHON)"
	$(BIN)/python -m pip install --disable-pip-version-check --quiet -c constraints.txt -e '.[dev]'
	@touch $@

demo: $(STAMP) ## simulate two cell types and run everything on them, into demo/
	$(BIN)/python examples/demo.py

# Each of the two processes computes on one core.
test: export OMP_NUM_THREADS ?= 1
test: $(STAMP) programs lint ## lint, types and all tests
	$(BIN)/python -m pytest -n 2

lint: $(STAMP) ## ruff and mypy
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

# bedtools, samtools, featureCounts: some tests compare with them, and say so where they are skipped.
programs:
	@bash tools/setup.sh programs

# In a folder that stays, for the inputs are large and made once: BENCH=/scratch/bench make bench
BENCH ?= bench
bench: $(STAMP) programs ## time binning beside other tools, on large generated inputs, into bench/, and training
	$(BIN)/python -m benchmarks.binning --folder $(BENCH) --curves
	$(BIN)/python -m benchmarks.training

clean-kernels: ## compile the counting loops anew, after one of them was changed
	find chromeprep -name '*.nb[ci]' -delete

clean: ## remove .venv, demo/ and caches
	rm -rf $(VENV) demo build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
