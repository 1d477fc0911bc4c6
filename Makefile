# VinylVault. `make` alone says what there is.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# For the tests: how many files run side by side. A file stays in one process, because its tests share fixtures.
JOBS ?= 2
PYTEST = $(BIN)/python -m pytest -n $(JOBS) --dist loadfile

# For `make wheelhouse`: the machine that the wheels are for, not the one that fetches them.
WHEELHOUSE ?= wheelhouse
ARCH ?= aarch64
FOR_PYTHON ?= 3.11

.PHONY: help demo run test test-fast check fix bench wheelhouse rehearse rehearse-uploads clean

help:
	@echo "make demo    a vault of 240 made-up records on http://localhost:5000/"
	@echo "make run     the same program with your own records (data in var/)"
	@echo "make test    set up and run all tests, JOBS=2 files side by side"
	@echo "make test-fast    the quick ones, without server, browser, decoder or whole application"
	@echo "make check   format, lint, types, import rules, documents"
	@echo "make fix     format and mend what a tool can mend"
	@echo "make bench   measure speed and memory, beside a baseline"
	@echo "make wheelhouse ARCH=aarch64 FOR_PYTHON=3.11    fetch the libraries for an installation without internet"
	@echo "make rehearse-uploads  uploads over slow lines, and after them the next request: ten minutes"
	@echo "make rehearse    install, update and break it in a Debian of its own (root, debootstrap)"
	@echo "make clean   remove the environment and all caches (never var/)"

demo: $(VENV)/.ready
	@$(BIN)/python -m demo

run: $(VENV)/.ready
	@exec $(BIN)/python -OO -m gunicorn -c systemd/gunicorn.conf.py "app:create_app()"

test: $(VENV)/.ready-dev node_modules/.ready
	$(PYTEST) $(ARGS)

test-fast: $(VENV)/.ready-dev
	$(PYTEST) -q -m "not server and not app and not decoder and not slow" $(ARGS)

check: $(VENV)/.ready-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_architecture.py tests/test_documents.py tests/test_operations_document.py

fix: $(VENV)/.ready-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.ready-dev
	$(BIN)/python -m benchmarks

wheelhouse: $(VENV)/bin/python
	mkdir -p $(WHEELHOUSE)
	for file in requirements.txt requirements-s3.txt requirements-nifti.txt requirements-metrics.txt requirements-heif.txt; do \
	  $(BIN)/python -m pip --quiet --disable-pip-version-check download --require-hashes --only-binary :all: --no-deps \
	    --implementation cp --python-version $(FOR_PYTHON) --abi cp$(subst .,,$(FOR_PYTHON)) --abi abi3 --abi none \
	    $(foreach glibc,$(shell seq 17 36),--platform manylinux_2_$(glibc)_$(ARCH)) --platform manylinux2014_$(ARCH) --platform any \
	    -r $$file -d $(WHEELHOUSE) || exit 1; \
	done

rehearse: $(VENV)/.ready-dev
	$(BIN)/python -m pytest -v tests/server/rehearsal.py $(ARGS)

rehearse-uploads: $(VENV)/.ready-dev
	$(BIN)/python -m pytest -v -s tests/server/rehearsal_uploads.py $(ARGS)

clean:
	rm -rf $(VENV) node_modules var-demo .mypy_cache .ruff_cache .pytest_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is %d.%d" % sys.version_info[:2])'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.ready: requirements.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	@touch $@

$(VENV)/.ready-dev: requirements-dev.txt $(VENV)/.ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@touch $@

node_modules/.ready: package-lock.json
	@command -v npm >/dev/null || { echo 'npm is missing: it installs the checks of the scripts (Debian: apt install npm). Without it: make test-fast'; exit 1; }
	npm ci --silent --no-audit --no-fund
	@touch $@
