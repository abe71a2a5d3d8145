# Make targets for the dashboard.

TARGETS += dashboard

.PHONY: dashboard
dashboard: setup  ## show versions, explanations and batches in a browser: make dashboard [PORT=8501]
	@exec $(RUN) mlops dashboard --port $(or $(PORT),8501)
