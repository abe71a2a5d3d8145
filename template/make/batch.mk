# Make targets for batch inference.

.PHONY: batch
batch: setup  ## score and publish one day: make batch [DATE=2013-12-30 | FROM=… TO=…]
	@$(RUN) mlops batch $(if $(DATE),--date "$(DATE)") $(if $(FROM),--from "$(FROM)") $(if $(TO),--to "$(TO)")

.PHONY: monitor
monitor: setup  ## show the drift of the latest batch, and where its report is
	@$(RUN) mlops monitor
