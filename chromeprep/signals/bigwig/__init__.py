"""bigWig: the format, and means over its items."""
