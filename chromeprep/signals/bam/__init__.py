"""BAM: the file and its index, which of its blocks are read, and how its records are counted."""
