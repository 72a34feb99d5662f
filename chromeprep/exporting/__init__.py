"""A file of bins as other programs read it: what `chromeprep export` does, one file a format."""
