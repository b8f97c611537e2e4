# make demo   train a small model on real text, with the live dashboard
# make test   everything that must hold: style, types, layers, tests
# make lint   the quick part of it
# make screenshots   the pictures of docs/gallery.md, from a small model that is trained meanwhile
#
# Needs Python 3.11 or newer with venv. PYTHON chooses the interpreter, VENV where the environment lies.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
SOURCES := src engine tests bench docs

.PHONY: demo test lint screenshots clean

demo: $(VENV)/.engine
	$(BIN)/tuitrain launch llama2-tiny

test: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

lint: $(VENV)/.dev
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/lint-imports

screenshots: $(VENV)/.engine
	$(BIN)/python docs/make_gallery.py

# A stamp for each set of dependencies: the second `make` finds it newer than what it was made from and installs nothing.
$(VENV)/.engine: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing tuitrain with its training engine into $(VENV), once: what is fetched, and how large it is, follows."
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[engine]'
	@echo "Installed: $(VENV) takes $$(du -sh $(VENV) | cut -f1)."
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing tuitrain with all that its tests need into $(VENV), once: what is fetched, and how large it is, follows."
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@echo "Installed: $(VENV) takes $$(du -sh $(VENV) | cut -f1)."
	@touch $@ $(VENV)/.engine

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "tuitrain needs Python 3.11 or newer; choose one: make PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
