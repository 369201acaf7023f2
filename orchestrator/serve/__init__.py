"""What an MCP host gets beside our four servers."""
