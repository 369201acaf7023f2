"""What runs models: Ollama, any llama.cpp server, an embedded engine, a replay."""
