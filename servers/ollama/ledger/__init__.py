"""The append-only record of runs, verdicts and money on this machine."""
