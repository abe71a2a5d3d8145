"""Export of the stage graph, and running one stage in a node of an engine."""
