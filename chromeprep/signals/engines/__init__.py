"""Independent references: the same files read and counted by other programs."""
