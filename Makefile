# Needs make and a Python 3.11 or newer with venv and pip; `make setup` gets the rest, pinned by hash.

BIN   := .venv/bin
READY := .venv/.ready
PINS  := .requirements/dev.txt
ARGS  :=

# The first of these that will do makes the .venv; PYTHON=... goes before them all.
PYTHONS  := $(PYTHON) python3 python3.13 python3.12 python3.11 python3.14 python
SUITABLE := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))

PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input --quiet

# A .venv works only in the folder it was made in; in a copied or moved checkout it is made anew.
ifneq "$(shell cat $(READY) 2>/dev/null)" "$(CURDIR)"
.PHONY: $(READY)
endif

.DEFAULT_GOAL := help
.PHONY: help setup demo test prove spin mutants simulate-long kill-long bench bench-quick bench-check soak bench-monitor check-formats docs pages lint types pins clean

help:  ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-13s %s\n", $$1, $$2}' Makefile

setup: $(READY)  ## prepare .venv (the other targets do it when it is needed)

demo: $(READY)  ## watch sessions fall and come back on a simulated server (ARGS="...")
	@$(BIN)/sessionfsm demo $(ARGS)

test: $(READY)  ## run the tests in three processes (ARGS="-k name"; a debugger needs ARGS="-n 0")
	@$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder $(ARGS)

# Each part has an end, ten minutes at most in all; what is not decided by then has failed, and says so.
prove: $(READY)  ## prove for every policy by z3, check by cvc5 and SPIN; proof/ keeps it (ARGS="FOLDER")
	@timeout --foreground -k 10 60 $(BIN)/python -m sessionfsm.verify.prove_all $(ARGS)
	@timeout --foreground -k 10 90 $(BIN)/python -m sessionfsm.cli.spin_all --if-installed
	@timeout --foreground -k 10 440 $(BIN)/python -m pytest -q -m slow tests/verify

spin: $(READY)  ## ask SPIN alone, about what happens at some time and about broken tables
	@timeout --foreground -k 10 120 $(BIN)/python -m sessionfsm.cli.spin_all $(ARGS)

simulate-long: $(READY)  ## simulate 10,000 hours on all cores, and measure how soon bugs are found (ARGS="--jobs N")
	@$(BIN)/sessionfsm simulate --seeds 5000 --hours 2 $(ARGS)
	@$(BIN)/python -m pytest -q -p no:cacheprovider -m slow tests/simulation

# The second part shows that a store with a mistake does not survive it.
kill-long: $(READY)  ## kill bots with -9 a thousand times: is anything lost? some minutes (ARGS="--kills N --seed N")
	@$(BIN)/python -m tests.durability $(ARGS)
	@$(BIN)/python -m pytest -q -p no:cacheprovider -m slow tests/durability

# The first two take some minutes; the whole matrix takes an hour or two.
bench-quick: $(READY)  ## measure ours beside bare httpx, aiohttp and asyncio, at 1,000 sessions (ARGS=--store keeps it)
	@$(BIN)/python -m benchmarks.compare quick $(ARGS)

bench-check: $(READY)  ## the same, and fail if a ratio is worse by 30 % than what is kept
	@$(BIN)/python -m benchmarks.compare check $(ARGS)

bench: $(READY)  ## the same at 1 to 10,000 sessions, plain and TLS, asyncio, uvloop, trio (ARGS="--sessions 1 100 --store")
	@$(BIN)/python -m benchmarks.compare all $(ARGS)

# Some 13 minutes at 10,000 sessions, which take 20,200 open files.
soak: $(READY)  ## keep 1,000 sessions alive through minutes of trouble: is anything lost? (ARGS="--sessions 10000 --minutes 10")
	@$(BIN)/python -m benchmarks.soak $(ARGS)

bench-monitor: $(READY)  ## measure what it costs to watch, record and check a session (ARGS="--hours 24")
	@$(BIN)/python benchmarks/record_monitor.py $(ARGS)

check-formats: $(READY)  ## have Graphviz, PlantUML and Chromium show every picture; what is not installed is skipped, and said
	@$(BIN)/python -m pytest -q -m slow tests/diagram tests/show $(ARGS)

# Strictly: a link that leads nowhere, or a docstring that Sphinx cannot read, is an error.
docs: $(READY)  ## build the pages into dist/docs, without a network
	@$(BIN)/python -m sphinx -q -W --keep-going -d dist/.docs docs dist/docs $(ARGS)
	@echo "docs: dist/docs/index.html"

# What the program prints on the pages, and nothing else: verdicts, figures, runs. A test compares it.
pages: $(READY)  ## write the figures and runs on the pages anew, from what verify finds today
	@$(BIN)/python -m tests.examples.blocks

mutants: $(READY)  ## change the table, then the core's code, one thing at a time: who notices? (up to an hour)
	@$(BIN)/sessionfsm verify --mutate --policy /dev/null
	@$(BIN)/python .ci/core_mutants.py $(ARGS)

lint: $(READY)  ## check style, format and the import contracts
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet . || { echo "lint: not formatted as above; write: $(BIN)/ruff format" >&2; exit 1; }
	@$(BIN)/lint-imports --no-logo

types: $(READY)  ## check the types
	@$(BIN)/mypy

pins:  ## pin pyproject.toml and .requirements/dev.in anew (needs uv; ARGS=--upgrade for newer versions)
	@uv=$(BIN)/uv; [ -x "$$uv" ] || uv=$$(command -v uv) || { echo "pins: uv is missing; write: pip install uv" >&2; exit 1; }; \
	"$$uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	    --extra cli --extra testing --extra prove --extra png --extra uvloop $(ARGS) --output-file $(PINS) pyproject.toml .requirements/dev.in
	@echo "pins: $$(grep -c '==' $(PINS)) packages in $(PINS)"

clean:  ## remove caches and build output; .venv stays
	@rm -rf dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .mutants
	@find . -path ./.venv -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

# The .venv is ready when .ready names this folder. While work is under way .unfinished holds the process id, so that
# an interrupted setup starts over from nothing, and that two at once do not pull the ground from under each other.
$(READY): pyproject.toml $(PINS)
	@set -eu; \
	say() { echo "setup: $$*"; }; \
	fail() { say "$$@" >&2; exit 1; }; \
	if [ -e .venv/.unfinished ] && kill -0 "$$(cat .venv/.unfinished)" 2>/dev/null; then \
	    fail "another one is running (process $$(cat .venv/.unfinished)); wait for it, or remove .venv if that is something else"; \
	fi; \
	if [ -e .venv/.unfinished ] || { [ -e $(READY) ] && [ "$$(cat $(READY))" != "$(CURDIR)" ]; } \
	    || ! $(BIN)/python -c 'import pip; $(SUITABLE)' 2>/dev/null; then \
	    python=; \
	    for each in $(PYTHONS); do \
	        if "$$each" -c '$(SUITABLE)' >/dev/null 2>&1; then python=$$each; break; fi; \
	    done; \
	    [ -n "$$python" ] || fail "no Python 3.11 or newer with venv and pip here (tried $(strip $(PYTHONS)));" \
	        "install one (on Debian and Ubuntu: python3-venv too) or write: make setup PYTHON=/path/to/python3.11"; \
	    say "a new .venv with $$("$$python" --version)"; \
	    rm -rf .venv; mkdir .venv; echo $$$$ > .venv/.unfinished; \
	    "$$python" -m venv .venv; \
	else \
	    echo $$$$ > .venv/.unfinished; rm -f $(READY); \
	fi; \
	say "installing what $(PINS) pins"; \
	$(PIP) install --require-hashes -r $(PINS); \
	$(PIP) install --no-deps --no-build-isolation -e .; \
	$(PIP) check || fail "the pins do not fit pyproject.toml; write: make pins"; \
	printf '%s\n' "$(CURDIR)" > $(READY); rm .venv/.unfinished; \
	say "done"
