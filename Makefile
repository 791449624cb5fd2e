# demo   the main job, offline: simulated cloud, real SSH, real Spark, real training (needs Java 17 or later)
# test   every test tier this machine can run; at the end, the tiers it could not run and why
# lint   format, lint, types, import levels, Python 3.6 syntax of the workload
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test lint environment java clean

demo: environment java
	$(BIN)/provisioner up inventories/simulated.yaml --yes --rm

test: environment
	$(BIN)/python -m tests $(ARGS)

lint: environment
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/vermin --quiet --no-tips --violations --target=3.6- workload

environment: $(VENV)/installed

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "provisioner needs Python 3.10 or later: make PYTHON=python3.X")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[local]" --group dev
	touch $@

# Spark needs a Java runtime; where we may, we install it.
java:
	@java -version 2>&1 | grep -qE 'version "(1[7-9]|[2-9][0-9])' || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -q && apt-get install -q -y default-jre-headless; \
	  else \
	    echo "Java 17 or later is missing: sudo apt-get install default-jre-headless (or your system's Java 17)" >&2; exit 1; \
	  fi; }

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache
