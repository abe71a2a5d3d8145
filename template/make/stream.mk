# Make targets for stream inference.

TARGETS += serve

.PHONY: serve
serve: setup  ## serve predictions over HTTP: make serve [PORT=8000]
	@exec env OMP_NUM_THREADS=1 $(RUN) mlops serve --port $(or $(PORT),8000)

.PHONY: materialize
materialize: setup  ## bring the online store up to date with the latest features of each entity
	@$(RUN) mlops materialize
