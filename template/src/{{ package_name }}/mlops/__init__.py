"""The platform's part of this repo, maintained by `make update`."""
