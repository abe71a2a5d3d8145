# Make targets for images. The .mk file of a component or an engine adds its image to TARGETS.

TARGETS += pipeline notebook
# One at a time: given several names, `command -v` of some shells only looks for the first.
CONTAINER_TOOL ?= $(firstword $(foreach tool,docker podman buildah,$(if $(shell command -v $(tool)),$(tool))) docker)

.PHONY: images
images: uv.lock  ## build the images: make images [TARGET=pipeline] [IMAGE_PREFIX=registry/team/name] [PUSH=1] [CONTAINER_TOOL=podman]
	$(foreach target,$(filter-out $(TARGETS),$(TARGET)),$(error TARGET=$(target): this repo has the images $(sort $(TARGETS))))
	@IMAGE_PREFIX="$(IMAGE_PREFIX)" PUSH="$(PUSH)" sh docker/images.sh "$(CONTAINER_TOOL)" $(or $(TARGET),$(sort $(TARGETS)))
