"""Any model leads, local models work, every exchange is shown."""
