# make lab, make test, make demo, make bench: each from a clean clone, each quick the second time.
# An interrupted set-up is simply run again: every stamp is written last.

PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do command -v $$p >/dev/null 2>&1 && \
	$$p -c 'import sys, ensurepip, venv; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null && echo $$p && break; done)
# On a machine without an NVIDIA card this saves several GB: make lab TORCH_INDEX=https://download.pytorch.org/whl/cpu
TORCH_INDEX ?=
PORT ?= 7860
MODEL ?= $(QWENLAB_MODEL)

BIN := .venv/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check --quiet
TORCH := $(shell sed -n 's/^\(torch==.*\)/\1/p' requirements.txt)
CHOSEN := $(if $(MODEL),--model $(MODEL))

.PHONY: lab env demo test bench gptq docs screenshots clean

lab: env
	$(BIN)/qwenlab models get $(or $(MODEL),qwen2.5-coder-0.5b)
	$(BIN)/python app.py --port $(PORT) $(CHOSEN)

demo: env
	$(BIN)/qwenlab demo $(CHOSEN)

bench: .venv/.bench
	$(BIN)/python -m benchmarks $(BENCH)

.venv/.bench: .venv/.ready requirements-bench.txt
	$(PIP) -r requirements-bench.txt
	@touch $@

env: .venv/.ready
	@:

.venv/.made:
	@test -n "$(PYTHON)" || { echo "Qwenlab needs Python 3.11, 3.12 or 3.13 with venv. On Debian or Ubuntu: sudo apt install python3-venv"; exit 2; }
	$(PYTHON) -m venv .venv
	@touch $@

.venv/.ready: .venv/.made requirements.txt pyproject.toml
	@echo "Installing packages into .venv (a few minutes the first time) ..."
	$(PIP) $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) $(TORCH)
	$(PIP) -r requirements.txt
	$(PIP) --no-deps -e .
	@touch $@

.venv/.tested: .venv/.ready requirements-dev.txt requirements-gpu.txt
	$(PIP) -r requirements-dev.txt
	@touch $@

test: .venv/.tested
	@sh tests/chromium.sh
	@sh tests/machine.sh $(BIN)/python
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/qwenlab models get smollm2-135m
	$(BIN)/python data/make_after_sales.py --check
	$(BIN)/python -m pytest -m "not model and not browser"
	$(BIN)/python -m pytest -m "model and not browser"
	$(BIN)/python -m pytest -m browser

# GPTQ's packages are built from source and need a C compiler.
gptq: .venv/.ready
	$(PIP) -r requirements-gptq.txt

docs: env
	$(BIN)/python docs/generate.py

# Pictures for README, from the lab that runs on PORT.
screenshots: .venv/.tested
	$(BIN)/python docs/screenshots.py http://127.0.0.1:$(PORT)

clean:
	rm -rf .venv
