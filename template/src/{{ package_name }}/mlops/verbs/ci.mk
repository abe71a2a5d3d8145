# What CI runs beside lint, test, images and promote; a laptop may, too.

.PHONY: sample
sample: setup  ## the metrics on a sample, here and at a commit: make sample [BASE=origin/main]
	@$(RUN) mlops sample --base "$(or $(BASE),origin/main)"
	@[ -z "$$GITHUB_STEP_SUMMARY" ] || cat reports/sample.md >> "$$GITHUB_STEP_SUMMARY"

.PHONY: comment
comment:  ## post them on the pull or merge request of this CI job
	@python3 -I $(wildcard src/*/mlops/comment.py) reports/sample.md

# Tools that are not on this machine are built into .tools/, of sources whose digests Go's checksum
# database holds.
gitleaks = github.com/zricethezav/gitleaks/v8@v8.30.1
syft = github.com/anchore/syft/cmd/syft@v1.57.1
cosign = github.com/sigstore/cosign/v3/cmd/cosign@v3.1.3
export PATH := $(CURDIR)/.tools:$(PATH)
tools = $(foreach tool,$(1),$(if $(shell command -v $(tool)),,.tools/$(tool)))

.tools/%:
	@command -v go >/dev/null || { echo "make: $* is not on this machine, nor Go to build it with"; exit 1; }
	@echo "building $($*) into .tools/"
	@GOBIN="$(CURDIR)/.tools" GOTOOLCHAIN=auto go install $($*)

.PHONY: secrets
secrets: $(call tools,gitleaks)  ## look for secrets in all commits: make secrets [STAGED=1, in the next one]
	@gitleaks git --no-banner --redact --verbose $(if $(STAGED),--staged)

.PHONY: attest
attest: setup $(call tools,syft cosign)  ## sign the images of images.json; attest their SBOM and provenance
	@$(RUN) mlops attest images.json

.PHONY: hooks
hooks: setup  ## have git look at each commit first, as .pre-commit-config.yaml says
	@[ -z "$$(git rev-parse --show-prefix)" ] || { \
	    echo "make hooks: git asks the hooks at $$(git rev-parse --show-toplevel) alone: type make lint before you commit"; exit 1; }
	@$(RUN) pre-commit install
