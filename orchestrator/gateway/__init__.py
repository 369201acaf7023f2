"""One loopback endpoint for clients that can set only a base URL: four vendors' wires, routed by the model's name."""
