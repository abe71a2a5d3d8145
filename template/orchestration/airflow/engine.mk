# Make targets for Airflow.

.PHONY: orchestrate
orchestrate: setup  ## run a pipeline on Airflow, on this machine: make orchestrate [PIPELINE=training] [DATE=2013-12-30]
	@$(RUN) mlops graph --check
	@exec $(RUN_ENGINE) python orchestration/airflow/local.py $(PIPELINE) $(if $(DATE),--date $(DATE))

.PHONY: test-engine
test-engine: setup  ## test the code that runs the pipelines on Airflow
	@$(RUN_ENGINE) pytest orchestration/airflow

.PHONY: engine-ui
engine-ui: setup  ## show Airflow's UI on port 8080, with the runs of make orchestrate
	@exec $(RUN_ENGINE) python orchestration/airflow/local.py --ui
