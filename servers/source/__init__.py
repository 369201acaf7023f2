"""Plain work on source text: encodings, grammars, symbols, syntax."""
