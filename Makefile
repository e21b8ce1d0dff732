# Everything here makes .venv by itself; nothing but Python 3.11 or later, pip and make is needed.
PYTHON ?= python3
BIN := .venv/bin
SOURCES := pipeline tests benchmarks requirements

# Tests start Python hundreds of times, and would compile everything each time.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-fast test-readers test-buckets test-ray interop bench check format hashes clean

# VIDEOS=FOLDER shows it on the first ten clips of that folder.
demo: .venv/.installed
	$(BIN)/captionfleet demo $(if $(VIDEOS),"$(VIDEOS)")

OWN := --ignore tests/readers --ignore tests/buckets --ignore tests/ray
# ARGS is handed on to pytest, as in make test ARGS="-k clips". Tests wait for a third of the time,
# for deadlines and for other processes: three at a time keep two cores busy.
test: .venv/.tested
	@$(MAKE) --no-print-directory -j 2 --output-sync=target check .venv/.compiled
	$(BIN)/python -m pytest -q -n 3 --dist worksteal $(OWN) $(ARGS)

# Once in a checkout, beside the checks: else three processes at a time compile the same.
.venv/.compiled: .venv/.tested
	-@$(BIN)/python -m pytest -q --collect-only $(OWN) >.venv/collected.txt 2>&1
	@touch $@

# The pure core alone: no process, hardly a file.
FAST := tests/config tests/profiles tests/sink tests/telemetry tests/watch tests/bench \
	tests/sender tests/media/codecs tests/media/sampling tests/media/facts tests/media/damage \
	tests/media/test_ladder.py tests/test_text.py
test-fast: .venv/.tested
	$(BIN)/python -m pytest -q -n 2 --dist worksteal $(FAST) $(ARGS)

# pandas, polars, datasets, webdataset, pysubs2 and a notebook open the output: a minute to install,
# so not a part of test.
test-readers: .venv/.readers
	$(BIN)/python -m pytest -q -n 2 --dist worksteal tests/readers $(ARGS)

# A real S3 server: a minute to install, so not a part of test.
test-buckets: .venv/.s3
	$(BIN)/python -m pytest -q tests/buckets $(ARGS)

# A real Ray cluster of two nodes on this machine: 240 MB to install, and half a minute to start, so
# not a part of test.
test-ray: .venv/.ray
	$(BIN)/python -m pytest -q tests/ray $(ARGS)

# A real vLLM on the processor, and LiteLLM, nginx and HAProxy before stand-ins: 5 GB, and minutes
# to install. SERVERS="nginx haproxy" runs only those.
interop: .venv/.tested
	$(BIN)/python -m benchmarks.interop $(SERVERS)

# Minutes; results go to bench-results/. SUITES="prepare knee" runs only those.
bench: .venv/.tested
	$(BIN)/python -m benchmarks.suite $(SUITES)

check: .venv/.tested
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell pipeline tests benchmarks requirements docker jobs README.md CHANGELOG.md Makefile

format: .venv/.tested
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)

clean:
	rm -rf .venv demo

.venv/bin/python:
	$(PYTHON) -m venv .venv

# Everything that is installed is known by its hash, or it is not installed. What builds the checkout comes first: nothing is fetched then.
HASHED := $(BIN)/python -m pip install --quiet --require-hashes
.venv/.installed: pyproject.toml requirements/build.txt requirements/run.txt | .venv/bin/python
	$(HASHED) --requirement requirements/build.txt
	$(HASHED) --requirement requirements/run.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

# One package among these has no wheel, and is built by what is there already.
.venv/.tested: .venv/.installed requirements/check.txt requirements/test.txt
	$(HASHED) --no-build-isolation --requirement requirements/run.txt \
		--requirement requirements/check.txt --requirement requirements/test.txt
	touch $@

.venv/.s3: .venv/.tested requirements/s3.txt
	$(HASHED) --requirement requirements/run.txt --requirement requirements/s3.txt
	touch $@

.venv/.readers: .venv/.tested requirements/readers.txt
	$(HASHED) --requirement requirements/run.txt --requirement requirements/readers.txt
	touch $@

.venv/.ray: .venv/.tested requirements/ray.txt
	$(HASHED) --requirement requirements/run.txt --requirement requirements/ray.txt
	touch $@

# After a change of dependencies in pyproject.toml or of versions in constraints.txt: pins what is new,
# and writes requirements/. Only what is new is looked up, for 20 s to some minutes.
hashes: .venv/bin/python
	$(BIN)/python requirements/hashes.py
