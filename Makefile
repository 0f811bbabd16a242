# Commands of the project. `make demo` and `make test` each work as the only command on a fresh clone.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
WEIGHTS ?= 0,0.2,0.4,0.6,1

.PHONY: demo test laws calibrate setup check format clean fuzz torture wheel

# The whole road on the embedded digits: train, sweep the cost weight, export, C-simulate, report.
demo: setup
	$(BIN)/python -m experiments.sweep --config=experiments/configs/digits_resnet8.py --workdir=runs/demo --weights=$(WEIGHTS)

# The test suite: what CI runs.
test: setup
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

# The laws of the cost model on 1,000 random graphs each (up to 12 gates, nested), and its depths against the simulator: some minutes.
laws: setup
	HYPOTHESIS_PROFILE=thorough $(BIN)/python -m pytest -n 2 tests/cost tests/array tests/graph/test_resnext.py tests/experiments/test_greedy.py tests/experiments/test_network.py tests/experiments/test_calibrate.py tests/hls/test_verilog_parts.py

# 200 random networks through all three C-simulations, against the integer reference (some 7 minutes).
fuzz: setup
	HLS_FUZZ=200 $(BIN)/python -m pytest tests/hls -k fuzz

# Kills, damaged files, hostile places and configs, two processes at once: a table of what each came to (docs/torture.md; an hour or more).
torture: setup
	$(BIN)/python tests/torture

# A wheel of HEAD in an empty virtual environment and an empty folder, where it runs the demo's command (some minutes).
wheel: setup
	set -e; folder=$$(mktemp -d); mkdir $$folder/tree $$folder/empty; git archive HEAD | tar -x -C $$folder/tree; \
	$(BIN)/python -m pip wheel -q --no-deps --no-build-isolation --wheel-dir $$folder $$folder/tree; \
	$(PYTHON) -m venv $$folder/venv; \
	$$folder/venv/bin/python -m pip install -q --disable-pip-version-check -c constraints.txt $$folder/*.whl; \
	cd $$folder/empty; ../venv/bin/python -m experiments.sweep --config=experiments/configs/digits_resnet8.py \
	  --workdir=demo --weights=$(WEIGHTS); rm -rf $$folder

# Simulation and synthesis of the Verilog parts, which the cost model prices, and the fit of its coefficients (half an hour).
calibrate: setup
	$(BIN)/python -m experiments.calibrate

# The virtual environment, with pinned dependencies.
setup: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo 'error: Python 3.11 or newer is needed; set PYTHON=/path/to/python3' >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test,check]'
	@touch $@

# Lint, types, format.
check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy tailor_jax costmodel hls_export experiments

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
