# What the Makefile has of the batch.

.PHONY: batch
batch: setup  ## score and publish a day: make batch [DATE=2013-12-30 | FROM=… TO=…]
	@$(RUN) mlops batch $(if $(DATE),--date "$(DATE)") $(if $(FROM),--from "$(FROM)") $(if $(TO),--to "$(TO)")

.PHONY: monitor
monitor: setup  ## say what the latest batch's drift is, and where its report is
	@$(RUN) mlops monitor
