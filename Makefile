# Every command does its own set-up: Python 3.11 and, for root, apt-get is all it takes. `make help` lists them.

.DEFAULT_GOAL := help
.PHONY: help install run up down status demo test lint bench bench-quick

# The first Python of 3.11 or later that really runs; `make PYTHON=…` chooses another.
PYTHON ?= $(shell for python in python3.11 python3.12 python3.13 python3.14 python3 python; do \
	if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then echo $$python; break; fi; done)
BIN := .venv/bin
LAUNCH := $(BIN)/python -m config.launch
INSTALL = $(if $(PYTHON),$(PYTHON) config/launch/install.py,$(error No Python of 3.11 or later was found: \
	install one (Debian 12: apt-get install python3) or name it with make PYTHON=…))

help: ## these lines
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' Makefile

install: ## the virtual environment, and the system packages where root may install them
	@$(INSTALL) --check-system

.ready:
	@$(INSTALL)

.ready-dev:
	@$(INSTALL) --dev

.PHONY: .ready .ready-dev

run: .ready ## start everything here, show the first samples, stop all with Ctrl-C
	@$(LAUNCH) run

up: .ready ## the same in the background; returns when it is ready
	@$(LAUNCH) up

down: .ready ## stop everything, whoever started it
	@$(LAUNCH) down

status: .ready ## what runs, since when, how often restarted
	@# 3: nothing runs, which is no error of make's.
	@$(LAUNCH) status || test $$? -eq 3

demo: .ready ## thirty days of a make-believe cloud in the store, and what can be asked of it
	@$(LAUNCH) demo

lint: .ready-dev ## style, types, the import contract, missing migrations
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	PYTHONPATH=. $(BIN)/lint-imports
	$(BIN)/mypy
	@# No database is needed to compare models with migrations; Django warns when it finds none.
	$(BIN)/python -W ignore::RuntimeWarning manage.py makemigrations --check --dry-run

# Two at a time go those that start no processes of their own and share nothing; pytest ends with 5 where PYTEST_ARGS leave it none.
SIDE_BY_SIDE := $(addprefix tests/,alarms/api alarms/admin alarms/rules agents/notifications/definitions agents/pipeline \
	metering/admin metering/api metering/management metering/messages metering/queries metering/rollups metering/simulation \
	metering/statistics)

test: lint ## lint, then all tests, on real servers; PYTEST_ARGS="-k name" narrows them
	$(BIN)/python -m pytest -n 2 --dist loadfile $(SIDE_BY_SIDE) $(PYTEST_ARGS) || [ $$? -eq 5 ]
	$(BIN)/python -m pytest $(addprefix --ignore=,$(SIDE_BY_SIDE)) $(PYTEST_ARGS) || [ $$? -eq 5 ]

bench: .ready-dev ## measure, print a table, write benchmarks/results/latest.json
	$(BIN)/python -m benchmarks

bench-quick: .ready-dev ## a reduced set of it in under a minute
	$(BIN)/python -m benchmarks --quick
