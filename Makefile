# Everything a person types: `make run` and `make test` set up what they need first.

PYTHON ?= python3.11
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: run test check format bench bench-gpu clean help

help:  ## Say what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

run: .venv/.installed  ## Run the studio on http://127.0.0.1:8000 until Ctrl-C
	@exec $(BIN)/python manage.py run

test: .venv/.installed-dev  ## Run all tests, the browser journey included
	@$(BIN)/python -m tests.browser
	$(BIN)/python -m pytest

check: .venv/.installed-dev  ## Style, types, import rules, templates, migrations
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/mypy .
	$(BIN)/djade --check --target-version 5.2 $$(git ls-files 'templates/*.html')
	$(BIN)/python manage.py makemigrations --check --dry-run
	$(BIN)/python manage.py check

format: .venv/.installed-dev  ## Put code and templates into shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	-$(BIN)/djade --target-version 5.2 $$(git ls-files 'templates/*.html')

bench: .venv/.installed-dev  ## Measure what the README claims beside TRL, and write it there (an hour)
	$(BIN)/python -m benchmarks.oracle
	$(BIN)/python -m benchmarks.tuning_speed
	$(BIN)/python -m benchmarks.first_loss
	$(BIN)/python -m benchmarks.preparation

bench-gpu: .venv/.installed-dev  ## The same table of speed on a CUDA GPU, with the shapes of larger models
	$(BIN)/python -m benchmarks.gpu_speed

clean:  ## Remove the environment; the data folder stays
	rm -rf .venv

.venv/bin/python:
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 is needed; on Debian: apt install python3.11 python3.11-venv"; exit 1; }
	$(PYTHON) -m venv .venv || { rm -rf .venv; echo "On Debian: apt install python3.11-venv"; exit 1; }

.venv/.installed: requirements.txt | .venv/bin/python
	@echo "Installing the studio's packages into .venv (once; torch is large)"
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

.venv/.installed-dev: requirements-dev.txt .venv/.installed
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@
