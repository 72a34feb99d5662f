"""How good are the predictions of a run, and what are they held against?"""
