# `make` alone tells what there is to make. Nothing needs to be installed before but Python 3.11 or newer;
# the tests want a C compiler as well.
PYTHON ?= python3
BIN := .venv/bin
FIGURES ?= performance.json
MINUTES ?= 60
DATABASE ?= postgresql
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.DEFAULT_GOAL := help
.PHONY: help demo test chaos check format bench docs clean

help:  ## what there is to make
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | awk -F'\t' '{printf "make %-8s %s\n", $$1, $$2}'

demo: .venv/run  ## a month of a small campaign in seconds; no mail leaves
	@$(BIN)/relent demo

test: .venv/test  ## every test, on SQLite and on PostgreSQL
	@$(BIN)/python -m pytest --numprocesses logical --maxprocesses 4 --dist loadfile

chaos: .venv/test  ## processes die and freeze for MINUTES=60, on DATABASE=postgresql or sqlite; is a promise broken?
	@$(BIN)/python -m tests.proof.chaos --minutes $(MINUTES) --database $(DATABASE)

check: .venv/test  ## lint, format, types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/python -m pytest -q tests/house/test_floors.py

format: .venv/test  ## put the code in order
	@$(BIN)/ruff check --fix --quiet . || true
	@$(BIN)/ruff format --quiet .

bench: .venv/test  ## what it costs, against yardsticks in the same run: an hour or two, 20 GB of disk
	@$(BIN)/python -m bench --save $(FIGURES)
	@$(BIN)/python -m bench --table $(FIGURES)

docs: .venv/test  ## write the generated pages anew
	@$(BIN)/python docs/generate.py

clean:  ## take away what was installed and built
	@rm -rf .venv dist build

.venv/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Relent needs Python 3.11 or newer. Name one: make PYTHON=python3.12 demo"; exit 1; }
	@$(PYTHON) -m venv .venv || { echo "Python's venv is missing. On Debian: apt-get install python3-venv"; exit 1; }
	@touch $@

.venv/run: .venv/python pyproject.toml constraints.txt
	@echo "Setting up .venv, once ..."
	@$(PIP) --editable .
	@touch $@

.venv/test: .venv/python pyproject.toml constraints.txt
	@echo "Setting up .venv with what the tests need, once ..."
	@$(PIP) --editable '.[test,postgres,redis]'
	@touch $@ .venv/run
