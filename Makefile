# The people's commands; `make help` lists them.

.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# uv of the machine, or one of this checkout's own.
UV := $(shell command -v uv || echo $(CURDIR)/.uv/bin/uv)
RUN := $(UV) run --frozen
export PATH := $(dir $(UV)):$(CURDIR)/.tools:$(PATH)
export OMP_NUM_THREADS ?= 2
# The tests start hundreds of processes: let Python keep what it compiled.
unexport PYTHONDONTWRITEBYTECODE

SCENARIO ?= airflow-classification
DEMO := .demo/late-flights

.PHONY: help
help:  ## list the commands
	@awk -F ':.*##' '/^[a-z-]+:.*##/ {printf "  make %-14s%s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(CURDIR)/.uv/bin/uv:
	@echo "uv is not on this machine: installing it into .uv/"
	@python3 -m venv .uv && .uv/bin/pip install --quiet "uv>=0.9,<1"

uv.lock: pyproject.toml | $(filter $(CURDIR)/%,$(UV))
	@$(UV) lock --quiet
	@touch $@

.venv/ready: uv.lock | $(filter $(CURDIR)/%,$(UV))
	@$(UV) sync --frozen --quiet
	@touch $@

.PHONY: setup
setup: .venv/ready  ## install what this checkout needs into .venv/

.PHONY: tools
tools:  ## build the command-line tools of the tests into .tools/ (needs Go): helm, argo, temporal
	GOBIN=$(CURDIR)/.tools go install helm.sh/helm/v4/cmd/helm@v4.3.1
	GOBIN=$(CURDIR)/.tools go install github.com/argoproj/argo-workflows/v4/cmd/argo@v4.0.5
	GOBIN=$(CURDIR)/.tools go install github.com/temporalio/cli/cmd/temporal@v1.5.1

.PHONY: demo
demo: setup  ## generate the example into .demo/, run its pipeline, show what came out
	@rm -rf $(DEMO)
	@$(RUN) python hooks/demo.py $(DEMO)

.PHONY: new
new: setup  ## start a team repo: make new DEST=../my-model [ANSWERS=answers.yml]
	@test -n "$(DEST)" || { echo "make new: say where, as in: make new DEST=../my-model"; exit 1; }
	@$(RUN) python hooks/new.py "$(DEST)" $(if $(ANSWERS),--answers "$(ANSWERS)")

.PHONY: test
test: lint  ## everything: lint, fast tests, the chart, the scenarios on their engines, the cluster
	@$(RUN) pytest tests/fast tests/update tests/charts -n 2
	@$(RUN) pytest tests/smoke
	@$(RUN) pytest tests/cluster

.PHONY: test-fast
test-fast: setup  ## what needs no pipeline: answers and rendered trees
	@$(RUN) pytest tests/fast tests/update -n 2

.PHONY: smoke
smoke: setup  ## run one scenario: make smoke SCENARIO=airflow-classification
	@$(RUN) pytest tests/smoke -k "$(SCENARIO)"

.PHONY: cluster-test
cluster-test: setup  ## run a scenario's pipeline in the cluster that KUBECONFIG names
	@$(RUN) pytest tests/cluster

.PHONY: lint
lint: setup  ## formatter, linter, types: this checkout, template/ and model_types/ as they lie
	@$(UV) sync --frozen --quiet --all-groups
	@$(RUN) ruff format --check . && $(RUN) ruff check .
	@MYPYPATH=hooks:tests/smoke $(RUN) mypy --explicit-package-bases --exclude tests/cluster hooks tests
	@MYPYPATH=tests/cluster $(RUN) mypy --explicit-package-bases tests/cluster
	@MYPYPATH=model_types $(RUN) mypy --explicit-package-bases $(wildcard model_types/*)

.PHONY: format
format: setup  ## let the formatter and the linter mend what they can
	@$(RUN) ruff format . && $(RUN) ruff check --fix .
