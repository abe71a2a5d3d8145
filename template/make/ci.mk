# Make targets for CI, besides lint, test, images and promote; they also run on a laptop.

.PHONY: sample
sample: setup  ## compare the metrics on a sample with those of a commit: make sample [BASE=origin/main]
	@$(RUN) mlops sample --base "$(or $(BASE),origin/main)"
	@[ -z "$$GITHUB_STEP_SUMMARY" ] || cat reports/sample.md >> "$$GITHUB_STEP_SUMMARY"

.PHONY: comment
comment:  ## post the comparison on the pull or merge request of this CI job
	@python3 -I $(wildcard src/*/mlops/ci/comment.py) reports/sample.md

# Tools that are not installed are built into .tools/, from sources verified by Go's checksum
# database.
gitleaks = github.com/zricethezav/gitleaks/v8@v8.30.1
syft = github.com/anchore/syft/cmd/syft@v1.57.1
cosign = github.com/sigstore/cosign/v3/cmd/cosign@v3.1.3
export PATH := $(CURDIR)/.tools:$(PATH)
tools = $(foreach tool,$(1),$(if $(shell command -v $(tool)),,.tools/$(tool)))

.tools/%:
	@command -v go >/dev/null || { echo "make: $* is not installed, nor is Go to build it"; exit 1; }
	@echo "building $($*) into .tools/"
	@GOBIN="$(CURDIR)/.tools" GOTOOLCHAIN=auto go install $($*)

.PHONY: secrets
secrets: $(call tools,gitleaks)  ## search all commits for secrets: make secrets [STAGED=1, only the next commit]
	@gitleaks git --no-banner --redact --verbose $(if $(STAGED),--staged)

.PHONY: attest
attest: setup $(call tools,syft cosign)  ## sign the images in images.json; attest their SBOM and provenance
	@$(RUN) mlops attest images.json

.PHONY: hooks
hooks: setup  ## install the git hooks of .pre-commit-config.yaml
	@[ -z "$$(git rev-parse --show-prefix)" ] || { \
	    echo "make hooks: git only runs hooks configured in $$(git rev-parse --show-toplevel): type make lint before you commit"; exit 1; }
	@$(RUN) pre-commit install
