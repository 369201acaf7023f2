"""Many delegations from a file, each done once, on the machines one has."""
