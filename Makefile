# `make demo` and `make test` set up everything they need; see README.md.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3)
VENV := .venv
PY := $(VENV)/bin/python
DEMO := runs/demo

.PHONY: setup demo test lint slow mutations clean

setup: $(VENV)/ready

$(VENV)/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev]"
	touch $@

demo: setup
	$(PY) run.py motions fetch
	$(PY) run.py pretrain walk --out $(DEMO) $(if $(wildcard $(DEMO)/checkpoint.safetensors),--resume)
	$(PY) run.py evaluate $(DEMO) --json $(DEMO)/evaluation.json
	$(PY) run.py render $(DEMO) --clip walk --out $(DEMO)/walk.mp4 --strip $(DEMO)/walk.png
	$(PY) run.py render ase/pretrained/agile --skills stand walk_forward brisk run turn_quick turn_left1 --out $(DEMO)/agile.mp4 --seconds 6
	$(PY) run.py render ase/pretrained/heading --out $(DEMO)/heading.mp4 --seconds 12
	@echo
	@echo "Look at $(DEMO)/walk.mp4 and $(DEMO)/walk.png (trained just now), $(DEMO)/agile.mp4 (the shipped skills) and $(DEMO)/heading.mp4 (a controller that steers them). To go on:"
	@echo "  $(PY) run.py pretrain locomotion --out runs/locomotion    # half an hour on two cores: walking, running, turning"
	@echo "  $(PY) run.py evaluate runs/locomotion --json out.json     # how good are the skills?"
	@echo "  $(PY) run.py render runs/locomotion --out skills.mp4      # six skills side by side"

test: setup lint
	$(PY) -m pytest

lint: setup
	$(PY) -m ruff check .
	$(PY) -m mypy

slow: setup
	$(PY) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev,gpu,examples]"
	$(PY) -m pytest -m slow

mutations: setup
	$(PY) -m tests.mutations

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache
