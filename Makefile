# VinylVault. `make` alone says what there is.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# For the tests: how many files run side by side. A file stays in one process, because its tests share fixtures.
JOBS ?= 2
PYTEST = $(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder

# For `make wheelhouse`: the machine that the wheels are for, not the one that fetches them.
WHEELHOUSE ?= wheelhouse
ARCH ?= aarch64
FOR_PYTHON ?= 3.11

.PHONY: help demo run test test-fast check fix bench bench-quick plots lighthouse lock dist release wheelhouse rehearse rehearse-long rehearse-uploads rehearse-image rehearse-newer rehearse-postgres rehearse-cluster rehearse-pi licences clean wheels

help:
	@echo "make demo    start a demo with records, streams and files at http://localhost:5000/; ARGS=--remove removes it"
	@echo "make run     start VinylVault with your own records (data in var/)"
	@echo "make test    install everything and run all tests, JOBS=2 files side by side"
	@echo "make test-fast    the quick ones, without server, browser, decoder or whole application"
	@echo "make check   check formatting, linting, types, import rules and docs"
	@echo "make fix     format the code and apply automatic fixes"
	@echo "make bench   measure speed and memory, beside others: half an hour"
	@echo "make bench-quick    what got worse by a tenth: three minutes"
	@echo "make plots   draw the plots of README from the last make bench"
	@echo "make lighthouse     Lighthouse on the wall of the demo (npm install -g lighthouse@12)"
	@echo "make lock    pin the versions of all libraries, with hashes; UPGRADE=--upgrade for newer ones"
	@echo "make dist    build the wheel and the source archive into dist/"
	@echo "make release VERSION=0.2.0    check everything and set the tag"
	@echo "make wheelhouse ARCH=aarch64 FOR_PYTHON=3.11    download the dependencies for an offline installation"
	@echo "make wheels ARCH=aarch64 FOR_PYTHON=3.13    check that every pinned library has a wheel for a machine"
	@echo "make rehearse-long    100 kills at random moments and 10,000 URLs at once, where make test has 30 and 3,000: a quarter of an hour"
	@echo "make rehearse-uploads  uploads over slow lines, and after them the next request: ten minutes"
	@echo "make rehearse    test the installer in a clean Debian (needs root and debootstrap)"
	@echo "make rehearse-newer    all tests but the browser's on Python 3.13 in a Debian 13 (needs root and debootstrap)"
	@echo "make rehearse-postgres  run the shared statements, and all tests of a catalogue, on a real PostgreSQL: twenty minutes"
	@echo "make rehearse-cluster  kill, pause and cut off nodes that share engines, into benchmarks/CLUSTER.md: half an hour"
	@echo "make rehearse-image    build the container image, run, update and restore it (root, podman, debootstrap)"
	@echo "make rehearse-pi SUITE=bookworm MEMORY=512 CASES=    a small Pi, emulated, into benchmarks/PI.md (root, qemu, mmdebstrap; hours)"
	@echo "make licences    write docs/LICENCES.md from what is installed"
	@echo "make clean   remove the virtual environment and all caches (never var/)"

demo: $(VENV)/.ready
	@$(BIN)/python -m image_cache.cli demo $(ARGS)

run: $(VENV)/.ready
	@exec $(BIN)/python -m image_cache.cli run

test: $(VENV)/.ready-dev
	@$(BIN)/python -m tests.support.programs
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
	@rm -f benchmarks/results.jsonl
	BENCH_JSON=benchmarks/results.jsonl $(BIN)/python -m benchmarks

bench-quick: $(VENV)/.ready-dev
	$(BIN)/python -m benchmarks.quick

plots: $(VENV)/.ready-dev
	$(BIN)/python -m benchmarks.plot

lighthouse: $(VENV)/.ready-dev
	$(BIN)/python -m benchmarks.lighthouse $(ARGS)

# The exact, hashed versions that the installer and the tests use, from the names in pyproject.toml.
# UPGRADE=--upgrade takes newer ones.
LOCK = $(BIN)/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes --no-header $(UPGRADE)
EXTRAS := s3 nifti metrics heif barcode cluster

lock: $(VENV)/.ready-dev
	$(LOCK) -o requirements.txt
	for extra in $(EXTRAS); do $(LOCK) --extra $$extra -c requirements.txt -o requirements-$$extra.txt || exit 1; done
	$(LOCK) --all-extras --group dev -c requirements.txt -o requirements-dev.txt
	$(subst pyproject.toml,--group build,$(LOCK)) -c requirements-dev.txt -o requirements-build.txt

dist: $(VENV)/.ready-dev
	$(MAKE) wheels FOR_PYTHON=3.11
	$(MAKE) wheels FOR_PYTHON=3.13
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) $(BIN)/python -m build --no-isolation -o dist .

# VERSION=0.2.0: checks that the tree is clean and that pyproject.toml and CHANGELOG.md name this version,
# runs everything, and sets the tag.
release: $(VENV)/.ready-dev
	@test -n "$(VERSION)" || { echo "Say which: make release VERSION=0.2.0"; exit 1; }
	@test -z "$$(git status --porcelain)" || { echo "There are changes that are not committed."; exit 1; }
	@grep -q '^version = "$(VERSION)"$$' pyproject.toml || { echo "pyproject.toml names another version."; exit 1; }
	@grep -Eq '^## $(VERSION) \([0-9]{4}-[0-9]{2}-[0-9]{2}\)$$' CHANGELOG.md || { echo "CHANGELOG.md has no dated section for $(VERSION)."; exit 1; }
	@! git rev-parse --quiet --verify "refs/tags/v$(VERSION)" >/dev/null || { echo "The tag v$(VERSION) exists."; exit 1; }
	$(MAKE) check test dist
	git tag -a "v$(VERSION)" -m "VinylVault $(VERSION)"

# What pip needs to know to choose wheels for ARCH and FOR_PYTHON on whatever machine it runs.
PINNED = requirements.txt $(EXTRAS:%=requirements-%.txt) requirements-build.txt
OTHER = --require-hashes --only-binary :all: --no-deps --implementation cp --python-version $(FOR_PYTHON) \
  --abi cp$(subst .,,$(FOR_PYTHON)) --abi abi3 --abi none --platform manylinux2014_$(ARCH) --platform any \
  $(foreach glibc,$(shell seq 17 36),--platform manylinux_2_$(glibc)_$(ARCH))

wheelhouse: $(VENV)/bin/python
	mkdir -p $(WHEELHOUSE)
	for file in $(PINNED); do \
	  $(BIN)/python -m pip --quiet --disable-pip-version-check download $(OTHER) -r $$file -d $(WHEELHOUSE) || exit 1; \
	done

# Asks the index only: nothing is downloaded but the names and hashes of files.
wheels: $(VENV)/bin/python
	@$(BIN)/python -m pip -qqq --disable-pip-version-check install --dry-run --ignore-installed --target $(VENV)/nowhere $(OTHER) \
	  $(PINNED:%=-r %)
	@echo "Every pinned library has a wheel for $(ARCH) and Python $(FOR_PYTHON)."

rehearse: $(VENV)/.ready-dev
	$(BIN)/python -m pytest -v tests/server/rehearsal.py $(ARGS)

rehearse-long: $(VENV)/.ready-dev
	KILLS=100 URLS=10000 $(PYTEST) -v -k "kill or thousands" tests/test_live.py tests/streams/test_live.py $(ARGS)

rehearse-uploads: $(VENV)/.ready-dev
	$(BIN)/python -m pytest -v -s tests/server/rehearsal_uploads.py $(ARGS)

rehearse-image: $(VENV)/.ready-dev
	$(BIN)/python -m pytest -v tests/server/rehearsal_image.py $(ARGS)

rehearse-postgres: $(VENV)/.ready-dev
	$(BIN)/python -m pytest -v tests/db/rehearsal_postgres.py $(ARGS)
	VINYLVAULT_TEST_POSTGRES=whole $(PYTEST) -m postgres $(ARGS)

rehearse-newer:
	.ci/newer build
	.ci/newer whole

rehearse-cluster: $(VENV)/.ready-dev
	VINYLVAULT_CLUSTER_REPORT=1 $(BIN)/python -m pytest -v -s tests/cluster/rehearsal_*.py $(ARGS)

SUITE ?= bookworm
MEMORY ?= 512
rehearse-pi: $(VENV)/.ready-dev
	$(BIN)/python -m tests.pi --suite $(SUITE) --memory $(MEMORY) --cases $(CASES) $(ARGS)

licences: $(VENV)/.ready-dev
	$(BIN)/python -m tests.support.licences > docs/LICENCES.md

clean:
	rm -rf $(VENV) dist var-demo .mypy_cache .ruff_cache .pytest_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is %d.%d" % sys.version_info[:2])'
	$(PYTHON) -m venv $(VENV)

# The extra nifti is for the volumes of the demo. Modules are compiled when they are first used, not all at once.
$(VENV)/.ready: requirements.txt requirements-nifti.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --require-hashes -r requirements.txt -r requirements-nifti.txt
	@touch $@

$(VENV)/.ready-dev: requirements-dev.txt $(VENV)/.ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@touch $@
