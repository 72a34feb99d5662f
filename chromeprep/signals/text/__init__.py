"""Text: BED and tagAlign, whose lines are reads, and bedGraph."""
