# `make demo` and `make test` are all a new reader needs; both create the environment first.

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
READY := $(VENV)/.ready
LOCKED := $(VENV)/.locked
SPARK := $(VENV)/.spark
EMPULSE := $(VENV)/.empulse
CATBOOST := $(VENV)/.catboost
SCORES := outputs/risk_scores.csv
UI := http://127.0.0.1:5000/\#/experiments/1/runs?workflowType=machine_learning

# MLflow starts its web server by name, so the environment's commands must come first.
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

# so that the last line of `make check` is pytest's
MAKEFLAGS += --no-print-directory

.DEFAULT_GOAL := help
.PHONY: help demo test slow check spark empulse catboost ui serve bench lock clean

help: ## list the targets
	@echo 'usage: make <target>      (make <target> PYTHON=python3.12 chooses the interpreter)'
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  \1	\2/p' Makefile

demo: $(READY) ## train on the bundled sample, promote the best run, score with it
	@# Judged at creation alone, no model clearly beats a timer; judged again while they are open, one does.
	$(PY) train.py -m model=lr,gbm moment=created,open
	@# Exit 1 is the gate's refusal, which is what a second demo meets: its runs do not beat the
	@# champion that the first one promoted. Without a champion, scoring fails and so does the demo.
	@echo '$(PY) promote.py'; $(PY) promote.py || { code=$$?; [ $$code -eq 1 ] || exit $$code; \
		echo; echo 'Not promoted (reasons above): the champion stays, and it does the scoring.'; }
	$(PY) score.py output=$(SCORES)
	@echo; $(PY) promote.py action=status
	@echo
	@echo 'Risk scores:  $(CURDIR)/$(SCORES)'
	@echo 'All runs:     make ui, then open $(UI)'

test: $(READY) ## run the tests, in two processes, without those that take long
	$(PY) -m pytest -m 'not slow' --numprocesses 2 --dist worksteal

slow: $(READY) ## run the tests that take long: servers, Spark, searches, kills
	$(PY) -m pytest -m slow --numprocesses 2 --dist worksteal

check: $(READY) ## lint, format, types, imports, then all tests
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	PYTHONPATH=experiments $(VENV)/bin/lint-imports --no-logo
	$(MAKE) test
	$(MAKE) slow

spark: $(SPARK) ## add Spark to the environment, and with it the tests that need it

empulse: $(EMPULSE) ## add empulse to the environment: cost-sensitive boosting, and the runs that need it

catboost: $(CATBOOST) ## add CatBoost to the environment: model=catboost

ui: $(READY) ## serve the tracked runs and the registry as web pages
	@echo 'open $(UI)'
	$(PY) -m mlflow ui

serve: $(READY) ## answer HTTP requests with the champion's decisions, at port 5001
	@# says who is in charge, and refuses a champion whose files were changed
	$(PY) promote.py action=status
	MLFLOW_TRACKING_URI=$${MLFLOW_TRACKING_URI:-sqlite:///mlflow.db} mlflow models serve \
		--model-uri models:/sla-breach-risk@champion --env-manager local --port 5001

bench: $(READY) ## measure what this layer costs
	$(PY) benchmarks/overhead.py

clean: ## remove the environment and the caches; runs, models and exports stay
	rm -rf $(VENV) build .mypy_cache .pytest_cache .ruff_cache .hypothesis src/*.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The environment -----------------------------------------------------------------------------
# A stamp is written only after everything it stands for has succeeded, and each attempt begins
# with an empty folder: an interrupted install is started over, never used.

$(LOCKED): requirements.lock
	@command -v $(PYTHON) >/dev/null || { echo 'error: no $(PYTHON); install Python 3.11 or newer,' \
		'or name one: make PYTHON=/path/to/python' >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo 'error: $(PYTHON) is' \
		"$$($(PYTHON) -V 2>&1), slarisk needs 3.11 or newer; name one: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' || { echo 'error: $(PYTHON) cannot create environments;' \
		'on Debian and Ubuntu: apt install python3-venv' >&2; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	$(PY) -m pip install --no-input --disable-pip-version-check --require-hashes -r requirements.lock
	@# wheels of numerical libraries bring all they need but the OpenMP runtime of LightGBM
	@$(PY) -c 'import lightgbm' || { echo 'error: LightGBM does not load; if libgomp or libomp is' \
		'missing: apt install libgomp1, dnf install libgomp, or brew install libomp' >&2; exit 1; }
	@touch $@

# --no-build-isolation: the build backend is in the lock; isolation would fetch one that is not.
# pip check: the lock must satisfy what pyproject.toml asks for.
$(READY): $(LOCKED) pyproject.toml
	@rm -f $@
	$(PY) -m pip install --no-input --disable-pip-version-check --quiet --no-deps --no-build-isolation -e .
	@$(PY) -m pip check || { echo 'error: requirements.lock does not satisfy pyproject.toml: run make lock' >&2; exit 1; }
	@touch $@

# 450 MB that only who scores in Spark needs, so it has a lock of its own. It comes as source;
# --no-build-isolation: as above.
$(SPARK): $(READY) requirements-spark.lock
	@rm -f $@
	$(PY) -m pip install --no-input --disable-pip-version-check --require-hashes --no-deps \
		--no-build-isolation -r requirements-spark.lock
	@touch $@

# Only one study needs it.
$(EMPULSE): $(READY) requirements-empulse.lock
	@rm -f $@
	$(PY) -m pip install --no-input --disable-pip-version-check --require-hashes --no-deps \
		-r requirements-empulse.lock
	@touch $@

$(CATBOOST): $(READY) requirements-catboost.lock
	@rm -f $@
	$(PY) -m pip install --no-input --disable-pip-version-check --require-hashes --no-deps \
		-r requirements-catboost.lock
	@touch $@

# The locks ------------------------------------------------------------------------------------
# Keeps every pin that still fits; `make lock UPGRADE=--upgrade` takes the newest of everything.
# uv resolves for all platforms and Pythons at once, which pip cannot; it does not read pip's
# settings, so the index pip is configured with is handed over here and stays out of every file.
lock: ## resolve pyproject.toml into requirements.lock, and a lock for each optional part
	$(PYTHON) -m venv --clear build/lock
	build/lock/bin/python -m pip install --no-input --disable-pip-version-check --quiet 'uv>=0.13,<0.14'
	@index=$${UV_DEFAULT_INDEX:-$${PIP_INDEX_URL:-$$(build/lock/bin/python -m pip config get global.index-url 2>/dev/null)}}; \
	if [ -n "$$index" ]; then UV_DEFAULT_INDEX=$$index; export UV_DEFAULT_INDEX; fi; \
	build/lock/bin/uv pip compile pyproject.toml --extra dev --quiet --generate-hashes $(UPGRADE) \
		--universal --python-version 3.11 --fork-strategy fewest \
		--no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock' \
		--output-file requirements.lock || exit 1; \
	for extra in spark empulse catboost; do \
		build/lock/bin/uv pip compile pyproject.toml --extra dev --extra $$extra --quiet \
			--generate-hashes $(UPGRADE) --universal --python-version 3.11 --fork-strategy fewest \
			--constraints requirements.lock $$(sed -n 's/^\([a-z0-9._-]*\)==.*/--no-emit-package \1/p' requirements.lock) \
			--no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock' \
			--output-file build/requirements-$$extra.lock || exit 1; \
		sed -e '/^# The following packages/,$$d' -e '/^$$/d' build/requirements-$$extra.lock > requirements-$$extra.lock; \
	done
	@if grep -nE '://|^-' requirements*.lock; then \
		echo 'error: an address in a lock' >&2; exit 1; fi
