"""An Ollama server that only pretends to run models, with known speeds."""
