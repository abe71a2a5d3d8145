# The people's commands; `make help` lists them.

.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# uv of the machine, or one of this checkout's own.
UV := $(shell command -v uv || echo $(CURDIR)/.uv/bin/uv)
RUN := $(UV) run --frozen
export PATH := $(dir $(UV)):$(CURDIR)/.tools:$(PATH)
export OMP_NUM_THREADS ?= 2
# Threads that wait leave the cores to others.
export OMP_WAIT_POLICY ?= passive
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
tools: linters kustomize  ## build the command-line tools of the tests into .tools/ (needs Go): helm, argo, temporal, kubeconform
	GOBIN=$(CURDIR)/.tools go install helm.sh/helm/v4/cmd/helm@v4.3.1
	GOBIN=$(CURDIR)/.tools go install github.com/argoproj/argo-workflows/v4/cmd/argo@v4.0.5
	GOBIN=$(CURDIR)/.tools go install github.com/temporalio/cli/cmd/temporal@v1.5.1
	GOBIN=$(CURDIR)/.tools go install github.com/yannh/kubeconform/cmd/kubeconform@v0.8.0

.PHONY: linters
linters:  ## build what looks at workflows and for secrets: actionlint, gitleaks
	GOBIN=$(CURDIR)/.tools go install github.com/rhysd/actionlint/cmd/actionlint@v1.7.12
	GOBIN=$(CURDIR)/.tools go install github.com/zricethezav/gitleaks/v8@v8.30.1

.PHONY: kustomize
kustomize:  ## build kustomize into .tools/ (needs Go): kubectl has one that does not know helm 4
	GOBIN=$(CURDIR)/.tools go install sigs.k8s.io/kustomize/kustomize/v5@v5.8.1

.PHONY: promtool
promtool:  ## take promtool out of Debian's package into .tools/: building it takes a quarter of an hour
	@mkdir -p .tools && cd .tools && apt-get download prometheus
	@cd .tools && dpkg-deb --fsys-tarfile prometheus_*.deb | tar -x --strip-components=3 ./usr/bin/promtool
	@rm .tools/prometheus_*.deb

.PHONY: registry
registry:  ## take a registry out of Debian's package into .tools/, for the tests that push images
	@mkdir -p .tools && cd .tools && apt-get download docker-registry
	@cd .tools && dpkg-deb --fsys-tarfile docker-registry_*.deb | tar -x --strip-components=3 ./usr/bin/docker-registry
	@rm .tools/docker-registry_*.deb

.PHONY: demo
demo: setup  ## generate the example into .demo/, run its pipeline, show what came out
	@rm -rf $(DEMO)
	@$(RUN) python hooks/demo.py $(DEMO)

.PHONY: new
new: setup  ## start a team repo: make new DEST=../my-model [ANSWERS=answers.yml]
	@test -n "$(DEST)" || { echo "make new: say where, as in: make new DEST=../my-model"; exit 1; }
	@$(RUN) python hooks/new.py "$(DEST)" $(if $(ANSWERS),--answers "$(ANSWERS)")

.PHONY: adopt
adopt: setup  ## put the template under a repo: make adopt DEST=../existing [ANSWERS=answers.yml]
	@test -n "$(DEST)" || { echo "make adopt: say where, as in: make adopt DEST=../existing"; exit 1; }
	@$(RUN) python hooks/adopt.py "$(DEST)" $(if $(ANSWERS),--answers "$(ANSWERS)")

# The cluster is one worker's, beside two for the cores: its pods wait more than they compute. What
# takes longest comes first, which is not what holds the most tests.
.PHONY: test
test: lint  ## everything: lint, fast tests, the chart, the scenarios on their engines, the cluster
	@$(RUN) pytest tests/fast tests/update tests/charts tests/ci -n 2 --dist loadgroup
	@OMP_NUM_THREADS=1 $(RUN) pytest tests/cluster tests/smoke -n 3 --dist loadgroup --no-loadscope-reorder --durations 20

.PHONY: test-fast
test-fast: setup  ## what needs no pipeline: answers and rendered trees
	@$(RUN) pytest tests/fast -n 2

.PHONY: smoke
smoke: setup  ## run one scenario, or all: make smoke SCENARIO=temporal-forecast
	@SCENARIO=$(SCENARIO) $(RUN) pytest tests/smoke $(if $(filter all,$(SCENARIO)),,-k "$(SCENARIO)")

.PHONY: cluster-test
cluster-test: setup  ## run a scenario's pipeline in the cluster that KUBECONFIG names
	@$(RUN) pytest tests/cluster

N ?= 100
.PHONY: bench-fleet
bench-fleet: setup  ## update many repos that teams edited: make bench-fleet N=100
	@PYTHONPATH=tests/lib $(RUN) python benchmarks/fleet.py --repos $(N)

.PHONY: bench-serving
bench-serving: setup  ## stream inference beside its peers: make bench-serving [REPO=.demo/late-flights]
	@$(RUN) python benchmarks/serving.py "$(or $(REPO),$(DEMO))"

.PHONY: bench-batch
bench-batch: setup  ## batch inference beside LightGBM alone: make bench-batch [REPO=.demo/late-flights]
	@$(RUN) python benchmarks/batch.py "$(or $(REPO),$(DEMO))"

.PHONY: bench-drift
bench-drift: setup  ## drift's false alarms, and what it finds: make bench-drift [REPO=.demo/late-flights]
	@cd "$(or $(REPO),$(DEMO))" && .venv/bin/python "$(CURDIR)/benchmarks/drift.py"

.PHONY: lint
lint: setup  ## formatter, linter, types: this checkout, template/ and model_types/ as they lie
	@$(UV) sync --frozen --quiet --all-groups
	@$(RUN) ruff format --check . && $(RUN) ruff check .
	@$(RUN) mypy

.PHONY: format
format: setup  ## let the formatter and the linter mend what they can
	@$(RUN) ruff format . && $(RUN) ruff check --fix .
