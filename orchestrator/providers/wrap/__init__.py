"""Providers around providers: same shape in, same shape out. Each works alone, from Python or from config."""
