"""Published tables of read counts become files of bins: what `chromeprep import` does.

``layouts`` says how the tables are written, ``sources`` which files there are, ``table`` reads one,
``positions`` looks the genes up, ``dataset`` puts it all together (`dataset.import_dataset`).
"""
