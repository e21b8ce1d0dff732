# Everything here makes .venv by itself; nothing but Python 3.11 or later, pip and make is needed.
PYTHON ?= python3
BIN := .venv/bin
SOURCES := pipeline tests benchmarks

.PHONY: demo test bench check format clean

demo: .venv/.installed
	$(BIN)/captionfleet demo

test: check
	$(BIN)/python -m pytest -q -n 2 --dist worksteal

# Minutes; results go to bench-results/. SUITES="prepare knee" runs only those.
bench: .venv/.tested
	$(BIN)/python -m benchmarks.suite $(SUITES)

check: .venv/.tested
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell pipeline tests benchmarks docker jobs README.md CHANGELOG.md Makefile

format: .venv/.tested
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)

clean:
	rm -rf .venv demo

.venv/bin/python:
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip

.venv/.installed: pyproject.toml constraints.txt | .venv/bin/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	touch $@

.venv/.tested: .venv/.installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --group test --group check
	touch $@
