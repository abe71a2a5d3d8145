"""Git, and pull or merge requests. Standard library only."""
