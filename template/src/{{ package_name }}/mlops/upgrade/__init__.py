"""Update the repo to a release of the platform. Standard library only."""
