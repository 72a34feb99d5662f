"""Which model is best, on which cell types, by which protocol? ``chromemodel benchmark``."""
