# The commands people use. Each sets up what it needs; see README.md.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Test processes at once. Most tests wait for something; each process has labs of its own, of 1-2 GB.
WORKERS ?= 2

.PHONY: demo test fuzz check kube mutants format clean

$(READY): pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Isthmus needs Python >= 3.11 ($(PYTHON) is older). Try: make PYTHON=python3.11 ..."; exit 1; }
	@command -v git >/dev/null || { echo "Isthmus needs git (not found on PATH)."; exit 1; }
	@echo "Setting up the virtual environment in $(VENV) (once, about a minute) ..."
	@$(PYTHON) -m venv $(VENV) || { echo "Python's venv module is missing (Debian: apt install python3-venv)."; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $(READY)

demo: $(READY)
	@$(BIN)/isthmus lab demo $(DEMO)

test: $(READY)
	@$(BIN)/python -m pytest -q --numprocesses=$(WORKERS) --dist=loadfile $(TEST)

# Values of every wrong kind to all that reads what strangers write; FUZZ is how many for each reader.
fuzz: FUZZ ?= 2000
fuzz: SEED ?= $(shell od -An -N4 -tu4 /dev/urandom | tr -d ' ')
fuzz: $(READY)
	@seed=$(SEED); echo "make fuzz FUZZ=$(FUZZ) SEED=$$seed"; \
	FUZZ=$(FUZZ) $(BIN)/python -m pytest -q -p no:cacheprovider --hypothesis-seed=$$seed --timeout=7200 tests/fuzz

check: $(READY)
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

# Patches that undo a mend or a rule: five at random, or MUTANTS="--all".
mutants: $(READY)
	@$(BIN)/python -m tests.mutants $(MUTANTS)

format: $(READY)
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

kube: $(READY)
	@$(BIN)/python -m lab.engines.kube.build

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
