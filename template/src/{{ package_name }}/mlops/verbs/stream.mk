# What the Makefile has of the stream.

TARGETS += serve

.PHONY: serve
serve: setup  ## answer requests for predictions over HTTP: make serve [PORT=8000]
	@exec env OMP_NUM_THREADS=1 $(RUN) mlops serve --port $(or $(PORT),8000)

.PHONY: materialize
materialize: setup  ## bring the online store up to date: what is known of each entity now
	@$(RUN) mlops materialize
