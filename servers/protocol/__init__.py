"""How a server lives: its command line, its transport, its tools, its start in one process with others."""
