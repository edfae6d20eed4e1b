# Every target sets up .venv by itself when it is missing or older than what it is made from. `make` prints this help.
PYTHON ?= python3
EXPERIMENT ?= default_study
RESUME ?= 1
PORT = 5000
ARGS ?=
BIN := .venv/bin
READY := .venv/.ready
LAUNCHERS := .venv/.launchers

export MLFLOW_DISABLE_TELEMETRY := true

.DEFAULT_GOAL := help
# what a benchmark compares with is large and optional: .venv/bin/pip install -e .[bench]
.PHONY: help sweep ablation ablations bench tour run report pictures ui show server reproduce sync test test-slow lint format lock clean

help: ## print this help
	@echo "backscope: what backpropagation does to a gradient on its way down a network"; echo
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

sweep: $(READY) ## run an experiment of conf/experiment: make sweep EXPERIMENT=default_study ARGS="training.steps=50"; RESUME=0: afresh
	@$(BIN)/backscope experiment=$(EXPERIMENT) tracking.resume=$(RESUME) $(ARGS)

ablation: $(READY) ## re-verify an ablation's claims: make ablation NAME=zero_init, with ARGS="model.width=32" elsewhere
	@$(BIN)/python -m backscope.lab $(NAME) $(ARGS)

ablations: $(READY) ## re-verify the claims of all ablations, and write experiments/README.md
	@$(BIN)/python -m backscope.lab --all

bench: $(READY) ## measure against PyTorch, JAX and scikit-learn, those that are installed: make bench ARGS="step sweep growth"
	@$(BIN)/python -m experiments.benchmarks $(ARGS)

tour: $(READY) ## run the guided tour's notebook anew, experiments/tour/tour.ipynb
	@$(BIN)/python -m experiments.tour

run: $(READY) ## run one configuration: make run ARGS="init=he activation=relu model.depth=20"
	@$(BIN)/backscope $(ARGS)

report: $(READY) ## the report of a sweep, one HTML file: make report SWEEP=default_study, or its id; the latest by default
	@$(BIN)/python -m backscope.commands.report $(SWEEP) $(ARGS)

pictures: $(READY) ## the README's screens anew, of what make sweep left in the store; needs chromium
	@$(BIN)/python -m experiments.pictures $(ARGS)

ui: $(READY) ## browse the runs in MLflow's UI, http://127.0.0.1:5000, or another: make ui PORT=5001
	@exec $(BIN)/python -m backscope.commands.ui --port $(PORT)

show: $(READY) ## backpropagation itself as a page, from one run or two: make show RUN=latest RUN2=<run id> ARGS=--open
	@$(BIN)/python -m backscope.commands.show $(RUN) $(RUN2) $(ARGS)

# through the environment, since others can read a command line: `STORE=postgresql://… make server` shows no password
server: export MLFLOW_BACKEND_STORE_URI := $(or $(STORE),$(MLFLOW_BACKEND_STORE_URI))
server: $(READY) ## a tracking server: STORE=postgresql://user@host/db make server AUTH=1 ARGS="--host 0.0.0.0"
	@exec $(BIN)/python -m backscope.commands.server $(if $(filter-out 0,$(AUTH)),--auth) $(ARGS)

reproduce: $(READY) ## run again and compare bit for bit: RUN=latest or <run id>, CONFIG=<its config.yaml> or EXPERIMENT=<ablation>
	@$(BIN)/python -m backscope.commands.reproduce $(RUN) $(if $(CONFIG),--config "$(CONFIG)") \
		$(if $(filter-out file,$(origin EXPERIMENT)),--experiment "$(EXPERIMENT)") $(ARGS)

sync: $(READY) ## send the runs that a store could not take: make sync ARGS="--uri http://127.0.0.1:5000"
	@$(BIN)/python -m backscope.commands.sync $(ARGS)

test: lint ## lint, then run all tests
	@$(BIN)/pytest -n auto --dist loadfile -m "not slow"

test-slow: $(LAUNCHERS) ## the second tier of tests: whole sweeps that are killed, other launchers, a real server
	@$(BIN)/pytest -m slow

lint: $(READY) ## check style, format, types and which package imports which
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(READY) ## format the code
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --upgrade
lock: $(READY) ## pin the newest versions that pyproject.toml allows in requirements.lock, and in .ci/launchers.lock what it lacks
	@$(BIN)/uv --version > /dev/null 2>&1 || $(BIN)/pip install --quiet uv
	@$(COMPILE) --extra dev pyproject.toml -o requirements.lock
	@$(COMPILE) --no-header --extra ray --extra slurm --extra optuna -c requirements.lock pyproject.toml \
		| awk 'NR == FNR {seen[$$1]; next} /^[^ ]/ {keep = !($$1 in seen)} keep' requirements.lock - > .ci/launchers.lock

clean: ## remove the environment and caches; runs and their store stay
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache src/*.egg-info
	find src tests experiments -name __pycache__ -prune -exec rm -rf {} +

$(READY): pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "backscope needs Python 3.11 or newer: make PYTHON=python3.11 …"; exit 1; }
	@echo "setting up .venv (a minute or two, once)"
	@$(PYTHON) -m venv .venv
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

$(LAUNCHERS): $(READY) .ci/launchers.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r .ci/launchers.lock
	@touch $@
