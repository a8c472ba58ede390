# Two commands do all the set-up on a fresh machine with Python 3.11 to 3.13: make demo, make test.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CONSTRAINTS := constraints.txt

.PHONY: demo test lint docs clean

demo: $(VENV)/.installed  ## the SMI experiment on simulated films: table and report
	$(BIN)/metabone demo

# In two, since a process reads XLA_FLAGS once: what is not marked `optimized` is spared the slowest part of the compiler.
PYTEST := $(BIN)/python -m pytest --numprocesses=2 --dist=loadfile --no-loadscope-reorder
test: $(VENV)/.installed-test lint  ## lint, then all tests
	XLA_FLAGS=--xla_cpu_use_fusion_emitters=false $(PYTEST) -m "not optimized"
	$(PYTEST) -m optimized

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache --no-logo

docs: $(VENV)/.installed-docs  ## docs/_build/html
	$(BIN)/python -m sphinx -W -q -b html docs docs/_build/html

$(VENV)/.installed: pyproject.toml $(CONSTRAINTS)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-compile --editable . --constraint $(CONSTRAINTS)
	touch $@

$(VENV)/.installed-%: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --no-compile --editable .[$*] --constraint $(CONSTRAINTS)
	touch $@

clean:  ## removes the environment and what builds leave; runs/ stays
	rm -rf $(VENV) build dist *.egg-info docs/_build .pytest_cache .ruff_cache
