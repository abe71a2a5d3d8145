# Make targets for releases.

.PHONY: promote
promote: setup  ## propose a release: make promote FROM=staging TO=prod, or TO=staging [VERSION=3] [IMAGES=images.json] [DIRTY=1]
	@$(RUN) mlops promote --to "$(TO)" $(if $(FROM),--from "$(FROM)") $(if $(VERSION),--version "$(VERSION)") $(if $(IMAGES),--images "$(IMAGES)") $(if $(DIRTY),--dirty) $(if $(BASE),--base "$(BASE)")

.PHONY: rollback
rollback: setup  ## propose the previous release: make rollback ENV=prod [TO=COMMIT]
	@$(RUN) mlops rollback --env "$(ENV)" $(if $(TO),--to "$(TO)") $(if $(BASE),--base "$(BASE)")

.PHONY: status
status: setup  ## show what runs where: model version, gate, age, images
	@$(RUN) mlops status $(if $(BASE),--base "$(BASE)")
