# Everything a person types here. `make demo` and `make test` set up what they need by themselves.

MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.PHONY: help demo test lint format bench lock clean set-up set-up-dev set-up-machine

# The first Python that is new enough; a name on the path may be a shim of nothing, so each is tried.
# (From here .venv's own is tried last: a new set-up should be made by the machine's.)
ifndef PYTHON
PYTHON := $(shell for python in python3.11 python3.12 python3.13 python3 .venv/bin/python; do \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$python" && break; done)
endif
BIN := .venv/bin
SET_UP = $(PYTHON) tools/set_up.py

help:
	@echo 'make demo    set up and run the demo          ARGS="--headless --json" is passed on'
	@echo 'make test    set up, lint and run every test  ARGS="tests/rooms -x" is passed to pytest'
	@echo 'make lint    ruff, mypy, import contracts, dependencies'
	@echo 'make format  put the code into its one form'
	@echo 'make bench   measure on this machine          ARGS="events --json" chooses one'
	@echo 'make lock    renew the locks after a change of dependencies'
	@echo 'make clean   remove what set-up made'

# Python may keep its compiled files here, whatever the machine says: the second start needs them.
demo: set-up
	@env -u PYTHONDONTWRITEBYTECODE $(BIN)/beckon demo $(ARGS)

test: set-up-machine lint
	$(BIN)/pytest -n 2 --dist worksteal $(ARGS)

lint: set-up-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/deptry src

format: set-up-dev
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: set-up
ifdef ARGS
	@$(BIN)/beckon bench $(ARGS)
else
	@$(BIN)/beckon bench events
	@$(BIN)/beckon bench sleepers
	@$(BIN)/beckon bench calls
endif

# With hashes, without addresses: which registry serves a package is the machine's affair.
LOCK = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	--no-emit-index-url --no-emit-find-links
lock: set-up
	$(LOCK) pyproject.toml --output-file requirements.lock
	$(LOCK) pyproject.toml --group dev --constraint requirements.lock --output-file requirements-dev.lock
	$(LOCK) --group build --output-file requirements-build.lock
	$(LOCK) --group node --output-file requirements-node.lock

clean:
	rm -rf .venv build dist node_modules src/beckon/web/static/vendor .mypy_cache .pytest_cache .ruff_cache .import_linter_cache

set-up: python-is-new-enough
	@$(SET_UP) runtime

set-up-dev: python-is-new-enough
	@$(SET_UP) dev

set-up-machine: python-is-new-enough
	@$(SET_UP) machine

.PHONY: python-is-new-enough
python-is-new-enough:
	@test -n "$(PYTHON)" || { echo 'Beckon needs Python 3.11 or later: install it, or say where it is: make PYTHON=…' >&2; exit 1; }
