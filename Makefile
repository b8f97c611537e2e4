# make demo   train a small model on real text, with the live dashboard
# make test   all checks: style, types, layers, tests
# make lint   the checks without the tests
# make screenshots   the pictures of docs/gallery.md, from a small model that trains in the background
#
# Needs Python 3.11 or newer with venv. PYTHON chooses the interpreter, VENV the directory of the environment.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
SOURCES := src engine tests bench docs

.PHONY: demo test lint screenshots clean

demo: $(VENV)/.engine
	$(BIN)/tuitrain launch llama2-tiny

# Four workers on two cores: tests of screens wait for half of their time. tests/conftest.py orders the files. Many tests
# start commands, which would compile their modules each time if no bytecode were kept.
test: lint
	OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder

lint: $(VENV)/.dev
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/lint-imports

screenshots: $(VENV)/.engine
	$(BIN)/python docs/make_gallery.py

# A stamp for each set of dependencies: while it is newer than its prerequisites, `make` installs nothing.
$(VENV)/.engine: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing tuitrain with its training engine into $(VENV), once. Downloads and their sizes:"
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[engine]'
	@echo "Installed: $(VENV) takes $$(du -sh $(VENV) | cut -f1)."
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing tuitrain with the dependencies of its tests into $(VENV), once. Downloads and their sizes:"
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@echo "Installed: $(VENV) takes $$(du -sh $(VENV) | cut -f1)."
	@touch $@ $(VENV)/.engine

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "tuitrain needs Python 3.11 or newer; choose one: make PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
