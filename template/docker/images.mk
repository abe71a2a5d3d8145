# What the Makefile has of the images. A component's or an engine's .mk adds its image to TARGETS.

TARGETS += pipeline notebook
# One at a time: of several names, some shells' `command -v` looks for the first alone.
CONTAINER_TOOL ?= $(firstword $(foreach tool,docker podman buildah,$(if $(shell command -v $(tool)),$(tool))) docker)

.PHONY: images
images: uv.lock  ## build the images: make images [TARGET=pipeline] [IMAGE_PREFIX=registry/team/name] [PUSH=1] [CONTAINER_TOOL=podman]
	$(foreach target,$(filter-out $(TARGETS),$(TARGET)),$(error TARGET=$(target): this repo has the images $(sort $(TARGETS))))
	@IMAGE_PREFIX="$(IMAGE_PREFIX)" PUSH="$(PUSH)" sh docker/images.sh "$(CONTAINER_TOOL)" $(or $(TARGET),$(sort $(TARGETS)))
