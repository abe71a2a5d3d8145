# Make targets for Argo Workflows, whose templates are in deploy/chart/.

.PHONY: orchestrate
orchestrate:  ## show how to run a pipeline: Argo Workflows needs a cluster
	@echo "Argo Workflows only runs in a cluster, so nothing ran. To run the stages:"
	@echo "  on this machine             make pipeline"
	@echo "  in kubectl's cluster        make submit, after the chart is installed there:"
	@echo "    helm upgrade --install NAME deploy/chart -f orchestration/pipelines.json --set image.repository=…,image.tag=…"
	@echo "  a cluster to try it on      https://argo-workflows.readthedocs.io/en/latest/quick-start/"
	@exit 1

# Past days: argo cron backfill NAME-batch --name N --start … --end … --argname date
.PHONY: submit
submit: setup  ## run a pipeline in kubectl's cluster: make submit [PIPELINE=training] [DATE=2013-12-30] [RELEASE=name of the chart's release]
	@$(RUN) mlops graph --check
	@exec argo submit --from "workflowtemplate/$${RELEASE:-$$($(RUN) mlops settings model_name)}-$(PIPELINE)" $(if $(DATE),--parameter date=$(DATE)) --log --wait

.PHONY: test-engine
test-engine:  ## check the chart (needs helm)
	@helm lint --strict deploy/chart --values orchestration/pipelines.json \
		--set image.repository=example.com/pipeline,image.tag=none
