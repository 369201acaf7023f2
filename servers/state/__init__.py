"""What Understudy keeps on this machine outside every workspace."""
