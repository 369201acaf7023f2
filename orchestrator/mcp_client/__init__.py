"""MCP servers as toolboxes: started, listed, called, ended."""
