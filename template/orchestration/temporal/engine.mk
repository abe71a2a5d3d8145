# Make targets for Temporal.

TARGETS += engine

.PHONY: orchestrate
orchestrate: setup  ## run a pipeline on Temporal, on this machine: make orchestrate [PIPELINE=training] [DATE=2013-12-30]
	@$(RUN) mlops graph --check
	@exec $(RUN_ENGINE) python orchestration/temporal/local.py $(PIPELINE) $(if $(DATE),--date $(DATE))

.PHONY: test-engine
test-engine: setup  ## test the code that runs the pipelines on Temporal
	@$(RUN_ENGINE) pytest orchestration/temporal
