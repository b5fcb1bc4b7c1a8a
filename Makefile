# The two targets that need no more than a clone and a Python: `make demo` and `make test`. Each does its own set-up.
#   PYTHON=python3.12    the interpreter that the environment is made with
#   VENV=path            another environment than .venv; one that exists is used as it is, and what it lacks is added
#   ARGS="..."           more arguments, for pytest or for tune.py
#   JOBS=2               test files that run at once; 0 runs all in one process
PYTHON ?= python3
VENV ?= .venv
ARGS ?=
JOBS ?= 2

BIN := $(VENV)/bin
READY := $(VENV)/.raytrainer-ready

.PHONY: demo test servers lint format bench clean

demo: $(READY)
	$(BIN)/python tune.py --space demo.yaml $(ARGS)

# A file's tests stay together, for their fixtures. In the order of the folders, the longest files do not come last.
test: $(READY) servers
	$(BIN)/python -m pytest --numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder $(ARGS)

# The databases that a study can be kept in, and what hosts of namespaces are made with, for the tests; where they cannot
# be had, those tests say so and are skipped.
servers:
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && ! { command -v ip && command -v redis-server && ls /usr/lib/postgresql/*/bin/initdb; } >/dev/null 2>&1; then \
		{ apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends postgresql redis-server iproute2; } >/dev/null \
			|| echo "PostgreSQL, Redis and iproute2 could not be installed"; \
	fi

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict raytrainer benchmarks tune.py

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY)
	for script in $$(grep -l __main__ benchmarks/*.py); do $(BIN)/python $$script --write || exit 1; done

# Studies under runs/ are the user's and stay.
clean:
	rm -rf .venv .demo build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +

# The environment is made again only when pyproject.toml has changed since.
$(READY): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $(READY)
