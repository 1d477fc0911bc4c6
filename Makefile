# VinylVault. `make` alone says what there is.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help demo run test check fix bench clean

help:
	@echo "make demo    a vault of 240 made-up records on http://localhost:5000/"
	@echo "make run     the same program with your own records (data in var/)"
	@echo "make test    set up and run all tests"
	@echo "make check   format, lint, types, import rules, documents"
	@echo "make fix     format and mend what a tool can mend"
	@echo "make bench   measure speed and memory, beside a baseline"
	@echo "make clean   remove the environment and all caches (never var/)"

demo: $(VENV)/.ready
	@$(BIN)/python -m demo

run: $(VENV)/.ready
	@exec $(BIN)/python -m gunicorn -c systemd/gunicorn.conf.py "app:create_app()"

test: $(VENV)/.ready-dev node_modules/.ready
	$(BIN)/python -m pytest $(ARGS)

check: $(VENV)/.ready-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_architecture.py tests/test_documents.py

fix: $(VENV)/.ready-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.ready-dev
	$(BIN)/python -m benchmarks

clean:
	rm -rf $(VENV) node_modules var-demo .mypy_cache .ruff_cache .pytest_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is %d.%d" % sys.version_info[:2])'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.ready: requirements.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	@touch $@

$(VENV)/.ready-dev: requirements-dev.txt requirements-nifti.txt $(VENV)/.ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt -r requirements-nifti.txt
	@touch $@

node_modules/.ready: package-lock.json
	npm ci --silent --no-audit --no-fund
	@touch $@
