# The workbench's verbs. `make lab` and `make test` are all a newcomer needs; everything else is below.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
BASE   := $(VENV)/.base
DEV    := $(VENV)/.dev
# Test files run so many at a time; each file stays together, since its tests share a server or a page.
WORKERS ?= 2

.DEFAULT_GOAL := help
.PHONY: help setup lab app demo test soak lint bench clean

help: ## what there is
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-6s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; set PYTHON=python3.12, say"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip

# The base install opens the notebooks at once; what develops and tests comes on top.
$(BASE): pyproject.toml | $(BIN)/python
	$(BIN)/pip install --quiet --editable .
	@touch $@

$(DEV): pyproject.toml | $(BASE)
	$(BIN)/pip install --quiet --editable '.[dev]'
	@touch $@

setup: $(DEV) ## everything for developing, in .venv

lab: $(BASE) ## JupyterLab with the workbench notebook; engines are built in the background
	$(BIN)/workbench lab

app: $(BASE) ## the planner as a web page for everybody (Voila)
	$(BIN)/workbench app

demo: $(BASE) ## plan, quantise, serve, ask and compare, once, on the built-in model
	$(BIN)/workbench demo

test: $(DEV) ## all tests, on real parts; the first run builds them
	$(BIN)/python -m pytest --junitxml=$(VENV)/junit.xml -m "not soak" --durations=15 -n $(WORKERS) --dist loadfile $(ARGS)

soak: $(DEV) ## the long form: hundreds of kills, every quantiser, the CUDA pins
	$(BIN)/python -m pytest -m soak --timeout=3600 $(ARGS)

lint: $(DEV) ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(DEV) ## speed of the planner and the page
	$(BIN)/python -m pytest tests/benchmarks -o addopts=--import-mode=importlib --benchmark-only $(ARGS)

clean: ## remove what was made here (not the user's cache)
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
