"""From labelled genes to a run folder."""
