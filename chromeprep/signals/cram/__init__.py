"""CRAM, by way of pysam."""
