"""MCP hosts of others: where each keeps its servers, and how ours are put there, taken out and looked at."""
