"""One delegation: from the order through the queue and the engine to the receipt; maps of many."""
