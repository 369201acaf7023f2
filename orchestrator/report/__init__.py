"""What was forecast, measured, advised, judged and saved, on one page and as JSON."""
