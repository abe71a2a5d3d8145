# Make targets for deploy/.

KUBECONFORM ?= -strict -summary -ignore-missing-schemas

# kubeconform caches its schemas, so that later runs need no network.
.PHONY: chart
chart:  ## lint the chart, and render each environment with its release into .chart/ (needs helm)
	@command -v helm >/dev/null || { echo "make chart needs helm: https://helm.sh/docs/intro/install"; exit 1; }
	@mkdir -p .chart/schemas && rm -f .chart/*.yaml .chart/output
	@name=$$(sed -n 's/^name: //p' deploy/chart/Chart.yaml); for folder in deploy/envs/*; do \
	    env=$$(basename "$$folder"); set -- --set-string "environment=$$env"; \
	    for file in orchestration/pipelines.json "$$folder/values.yaml" "$$folder/release.yaml"; do \
	        test ! -e "$$file" || set -- "$$@" --values "$$file"; done; \
	    helm lint --strict --quiet deploy/chart "$$@" && \
	    helm template "$$name" deploy/chart --namespace "$$name-$$env" "$$@" > ".chart/$$env.yaml" && \
	    echo ".chart/$$env.yaml: $$(grep -c '^kind:' ".chart/$$env.yaml") objects" || exit 1; done
	@! command -v kubeconform >/dev/null || kubeconform -cache .chart/schemas $(KUBECONFORM) .chart/*.yaml > .chart/output || { \
	    grep -v "failed downloading schema" .chart/output; \
	    ! grep -q "failed downloading schema" .chart/output || echo "make chart: kubeconform cannot fetch schemas:" \
	        "run it once with a network to cache them in .chart/schemas, or name a folder: KUBECONFORM=\"-schema-location DIR\""; exit 1; }
	@test ! -e .chart/output || cat .chart/output
