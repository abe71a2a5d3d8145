"""Parts of the CI jobs: metrics compared with the base, attestations, comments."""
