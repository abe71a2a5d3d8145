# Developer commands; `make help` lists them.

.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# The installed uv, or this checkout's own.
UV := $(shell command -v uv || echo $(CURDIR)/.uv/bin/uv)
RUN := $(UV) run --frozen
export PATH := $(dir $(UV)):$(CURDIR)/.tools:$(PATH)
export OMP_NUM_THREADS ?= 2
# Waiting threads must not occupy the cores.
export OMP_WAIT_POLICY ?= passive
# The tests start hundreds of processes: let Python cache bytecode.
unexport PYTHONDONTWRITEBYTECODE

SCENARIO ?= airflow-classification
DEMO := .demo/late-flights

.PHONY: help
help:  ## list the commands
	@awk -F ':.*##' '/^[a-z-]+:.*##/ {printf "  make %-14s%s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(CURDIR)/.uv/bin/uv:
	@echo "uv is not installed: installing it into .uv/"
	@python3 -m venv .uv && .uv/bin/pip install --quiet "uv>=0.9,<1"

uv.lock: pyproject.toml | $(filter $(CURDIR)/%,$(UV))
	@$(UV) lock --quiet
	@touch $@

.venv/ready: uv.lock | $(filter $(CURDIR)/%,$(UV))
	@$(UV) sync --frozen --quiet
	@touch $@

.PHONY: setup
setup: .venv/ready  ## install the dependencies of this checkout into .venv/

.PHONY: tools
tools: linters kustomize  ## build the tests' command-line tools into .tools/ (needs Go): helm, argo, temporal, kubeconform
	GOBIN=$(CURDIR)/.tools go install helm.sh/helm/v4/cmd/helm@v4.3.1
	GOBIN=$(CURDIR)/.tools go install github.com/argoproj/argo-workflows/v4/cmd/argo@v4.0.5
	GOBIN=$(CURDIR)/.tools go install github.com/temporalio/cli/cmd/temporal@v1.5.1
	GOBIN=$(CURDIR)/.tools go install github.com/yannh/kubeconform/cmd/kubeconform@v0.8.0

.PHONY: linters
linters:  ## build actionlint and gitleaks into .tools/ (needs Go), to check workflows and find secrets
	GOBIN=$(CURDIR)/.tools go install github.com/rhysd/actionlint/cmd/actionlint@v1.7.12
	GOBIN=$(CURDIR)/.tools go install github.com/zricethezav/gitleaks/v8@v8.30.1

.PHONY: kustomize
kustomize:  ## build kustomize into .tools/ (needs Go); the one in kubectl does not support helm 4
	GOBIN=$(CURDIR)/.tools go install sigs.k8s.io/kustomize/kustomize/v5@v5.8.1

.PHONY: promtool
promtool:  ## extract promtool from Debian's package into .tools/; building it takes 15 minutes
	@mkdir -p .tools && cd .tools && apt-get download prometheus
	@cd .tools && dpkg-deb --fsys-tarfile prometheus_*.deb | tar -x --strip-components=3 ./usr/bin/promtool
	@rm .tools/prometheus_*.deb

.PHONY: registry
registry:  ## extract a registry from Debian's package into .tools/, for the tests that push images
	@mkdir -p .tools && cd .tools && apt-get download docker-registry
	@cd .tools && dpkg-deb --fsys-tarfile docker-registry_*.deb | tar -x --strip-components=3 ./usr/bin/docker-registry
	@rm .tools/docker-registry_*.deb

.PHONY: demo
demo: setup  ## generate the example into .demo/, run its pipeline, show the results
	@rm -rf $(DEMO)
	@$(RUN) python hooks/demo.py $(DEMO)

.PHONY: new
new: setup  ## start a new repo: make new DEST=../my-model [ANSWERS=answers.yml]
	@test -n "$(DEST)" || { echo "make new: DEST is empty; type: make new DEST=../my-model"; exit 1; }
	@$(RUN) python hooks/new.py "$(DEST)" $(if $(ANSWERS),--answers "$(ANSWERS)")

.PHONY: adopt
adopt: setup  ## add the template to an existing repo: make adopt DEST=../existing [ANSWERS=answers.yml]
	@test -n "$(DEST)" || { echo "make adopt: DEST is empty; type: make adopt DEST=../existing"; exit 1; }
	@$(RUN) python hooks/adopt.py "$(DEST)" $(if $(ANSWERS),--answers "$(ANSWERS)")

# One worker per core, and one more for the cluster tests, whose pods mostly wait. The longest groups
# start first, in the order of the folders below; xdist would start those with the most tests.
.PHONY: test
test: lint  ## run everything: lint, the cluster, the scenarios on their engines, updates, charts, CI, fast tests
	@OMP_NUM_THREADS=1 $(RUN) pytest tests/cluster tests/smoke tests/update tests/charts tests/ci tests/fast \
		-n 3 --dist loadgroup --no-loadscope-reorder --durations 20

.PHONY: test-fast
test-fast: setup  ## run the tests that need no pipeline: answers and rendered trees
	@$(RUN) pytest tests/fast -n 2

.PHONY: smoke
smoke: setup  ## test one scenario, or all: make smoke [SCENARIO=temporal-forecast | SCENARIO=all]
	@SCENARIO=$(SCENARIO) $(RUN) pytest tests/smoke $(if $(filter all,$(SCENARIO)),,-k "$(SCENARIO)")

.PHONY: cluster-test
cluster-test: setup  ## run the tests in the cluster that KUBECONFIG names
	@$(RUN) pytest tests/cluster

N ?= 100
.PHONY: bench-fleet
bench-fleet: setup  ## update many edited repos at once: make bench-fleet N=100
	@PYTHONPATH=tests/lib $(RUN) python benchmarks/fleet.py --repos $(N)

.PHONY: bench-serving
bench-serving: setup  ## compare stream inference with other servers: make bench-serving [REPO=.demo/late-flights] [ABLATION=1]
	@$(RUN) python benchmarks/serving.py "$(or $(REPO),$(DEMO))" $(if $(ABLATION),--ablation)

.PHONY: bench-batch
bench-batch: setup  ## compare batch inference with LightGBM alone: make bench-batch [REPO=.demo/late-flights]
	@$(RUN) python benchmarks/batch.py "$(or $(REPO),$(DEMO))"

.PHONY: bench-drift
bench-drift: setup  ## measure false alarms and hits of drift detection: make bench-drift [REPO=.demo/late-flights]
	@cd "$(or $(REPO),$(DEMO))" && .venv/bin/python "$(CURDIR)/benchmarks/drift.py"

.PHONY: lint
lint: setup  ## check format, style, types and prose; template/ and model_types/ in place
	@$(UV) sync --frozen --quiet --all-groups
	@$(RUN) ruff format --check . && $(RUN) ruff check .
	@$(RUN) mypy
	@$(RUN) pre-commit run --all-files prose

.PHONY: format
format: setup  ## let the formatter and the linter fix what they can
	@$(RUN) ruff format . && $(RUN) ruff check --fix .
