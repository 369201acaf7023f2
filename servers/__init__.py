"""The four MCP servers: independent programs that import nothing from the orchestrator."""
