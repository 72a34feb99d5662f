"""Files of bins -> what a model is trained on: marks by name, parts by hash, z-scores."""
