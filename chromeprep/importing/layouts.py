"""How do published data sets write a gene's bins as lines of text?

Nothing heavy is imported here: the command line shows these names in its help.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Layout:
    """A CSV without header, one line a gene and bin, bins 1 to `n_bins` in order.

    Attributes
    ----------
    name
        As the user names it.
    marks
        Columns of read counts, in the order of the file.
    n_bins
        Lines of a gene.
    bin_size_bp
        Width of a bin.
    bin_in_id
        The first field is ``GENE_SYMBOL_BIN``; else gene and bin have a field each.
    labelled
        The last field is the gene's label, 0 or 1.
    form
        A line, in words.
    """

    name: str
    marks: tuple[str, ...]
    n_bins: int
    bin_size_bp: int
    bin_in_id: bool
    labelled: bool
    form: str

    @property
    def flank_bp(self) -> int:
        """Reach of the window on either side of the TSS."""
        return self.n_bins * self.bin_size_bp // 2

    @property
    def first_count(self) -> int:
        """Index of the first field that holds a count."""
        return 1 if self.bin_in_id else 2

    @property
    def n_fields(self) -> int:
        """Fields of a line.

        Examples
        --------
        >>> {name: layout.n_fields for name, layout in LAYOUTS.items()}
        {'deepchrome': 8, 'deepdiff': 6}
        """
        return self.first_count + len(self.marks) + self.labelled


LAYOUTS = {
    layout.name: layout
    for layout in (
        # Singh et al. 2016 (DeepChrome) and 2017 (AttentiveChrome).
        Layout(
            "deepchrome",
            ("H3K27me3", "H3K36me3", "H3K4me1", "H3K4me3", "H3K9me3"),
            n_bins=100,
            bin_size_bp=100,
            bin_in_id=False,
            labelled=True,
            form="gene,bin,five counts,label",
        ),
        # Sekhon, Singh, Qi 2018.
        Layout(
            "deepdiff",
            ("H3K4me1", "H3K4me3", "H3K9me3", "H3K27me3", "H3K36me3"),
            n_bins=200,
            bin_size_bp=100,
            bin_in_id=True,
            labelled=False,
            form="gene_symbol_bin,five counts",
        ),
    )
}
