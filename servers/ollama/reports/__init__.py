"""What the ledger says, for models and people."""
