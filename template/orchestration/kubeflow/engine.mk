# Make targets for Kubeflow Pipelines.

TARGETS += engine

.PHONY: orchestrate
orchestrate: setup  ## run a pipeline on Kubeflow Pipelines, on this machine: make orchestrate [PIPELINE=training] [DATE=2013-12-30]
	@$(RUN) mlops graph --check
	@exec $(RUN_ENGINE) python orchestration/kubeflow/local.py $(PIPELINE) $(if $(DATE),--date $(DATE))

.PHONY: test-engine
test-engine: setup  ## test the code that runs the pipelines on Kubeflow Pipelines
	@$(RUN_ENGINE) pytest orchestration/kubeflow

.PHONY: compile
compile: setup  ## compile the pipelines for Kubeflow: make compile IMAGE=registry/image@sha256:… [OPTIONS="--env NAME=VALUE --secret SECRET:KEY --values FILE"]
	@test -n "$(IMAGE)" || { echo "make compile: say which image, as in: make compile IMAGE=registry/image@sha256:…"; exit 1; }
	@$(RUN) mlops graph --check
	@$(RUN_ENGINE) python orchestration/kubeflow/pipeline.py --image "$(IMAGE)" --output .kubeflow/compiled $(OPTIONS)
