"""A small simulated world to try the tools on: genome, genes, expression and ChIP-seq.

``docs/simulate.md`` says what the world holds and why. One file a step: `config` (what can be
chosen), `genome` (chromosomes and genes), `expression` (who is on where), `enrichment` (where each
mark lies), `assay` (what an experiment makes of that), `bam` (reads as records), `world` (all of
it, as a folder).
"""

from chromeprep.simulate.config import SimulationConfig
from chromeprep.simulate.world import simulate

__all__ = ["SimulationConfig", "simulate"]
