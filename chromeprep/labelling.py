"""Expression and labels of a file of bins that is there already; the rest of it stays as it is."""

from __future__ import annotations

import io
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from chromeprep.errors import FormatError
from chromeprep.expression import ExpressionColumn, Labels, median_labels
from chromeprep.format import read_description
from chromeprep.format.atomic import atomic_file
from chromeprep.format.schema import LABEL_RULES
from chromeprep.provenance import record
from chromeprep.selection import join_known


class Labelled(NamedTuple):
    """What labelling came to.

    Attributes
    ----------
    n_genes, n_known, n_high
        Genes in the file, those that the table knows, and those of them at or above the median.
    threshold
        The median, in the units of the table.
    replaced
        There were labels before.
    """

    n_genes: int
    n_known: int
    n_high: int
    threshold: float
    replaced: bool


def has_labels(path: str | Path) -> bool:
    """Say whether any gene of a file has expression or a label.

    Raises
    ------
    FormatError
        Where it is no file of bins.
    """
    genes = read_description(path).genes
    return bool((genes.label >= 0).any() or not np.isnan(genes.expression).all())


def label_file(
    path: str | Path,
    expression: ExpressionColumn,
    expression_path: str | Path,
    *,
    output: str | Path | None = None,
    cell_type: str | None = None,
    argv: Sequence[str] = (),
) -> Labelled:
    """Write a file's copy with the expression and labels of a table.

    The copy is edited where it holds expression, labels and what is said of them; the signal and
    all that others have put into the file stay. The median is that of the file's genes that the
    table knows, and genes need no positions.

    Parameters
    ----------
    path
        The file of bins.
    expression
        Of `chromeprep.expression.read_expression`.
    expression_path
        Its file, for the record.
    output
        Where the result goes; by default it takes the place of `path`. It is there whole or not at
        all.
    cell_type
        Put into the file too, where given.
    argv
        The command line, for the record.

    Raises
    ------
    FormatError
        Where `path` is no file of bins.
    ExpressionError
        Where the table knows none of its genes.
    OutputError
        Where the result cannot be written.
    """
    source = Path(path)
    target = source if output is None else Path(output)
    before = read_description(source)
    genes = before.genes
    replaced = bool((genes.label >= 0).any() or not np.isnan(genes.expression).all())
    values = join_known(genes, expression, source, expression_path)
    labels = median_labels(values)
    attributes: dict[str, str | float] = {
        "label-rule": LABEL_RULES[0],
        "label-threshold": labels.threshold,
        "expression-source": f"{expression_path}:{expression.described}",
    }
    if cell_type is not None:
        attributes["cell-type"] = cell_type
    known = labels.label >= 0
    result = Labelled(
        len(genes), int(known.sum()), int((labels.label == 1).sum()), labels.threshold, replaced
    )
    details = {"genes": [{"n_genes": result.n_known, "what": "known to the expression table"}]}
    # An input that is replaced is not there to be found again: only the table is an input.
    inputs = {"expression": expression_path}
    if target != source:
        inputs["file"] = source
    line = record(argv, inputs, details)
    image = _edited(source, values, labels, attributes, line)
    # Through a link, so that in place it is the file that changes and not the link.
    with atomic_file(target.resolve()) as temporary:
        temporary.write_bytes(image)
        if target == source:
            shutil.copymode(source, temporary)
    return result


def _edited(
    path: Path,
    values: NDArray[np.float64],
    labels: Labels,
    attributes: Mapping[str, str | float],
    line: str,
) -> bytes:
    # In memory: where the disk is full, HDF5 leaves the process in a state that crashes.
    image = io.BytesIO(path.read_bytes())
    try:
        with h5py.File(image, "r+") as file:
            _replace(file, "genes/expression", values)
            _replace(file, "genes/label", labels.label)
            _append(file, "provenance", line)
            for name, value in attributes.items():
                file.attrs[name] = value
    except (OSError, RuntimeError, KeyError) as error:
        raise FormatError(
            f"cannot be edited: {error}", path=path, hint="is it damaged? chromeprep validate FILE"
        ) from error
    return image.getvalue()


def _replace(file: h5py.File, name: str, values: NDArray[Any]) -> None:
    """Put values into a column of the same length, whatever its type of number is."""
    dataset = file[name]
    if np.can_cast(values.dtype, dataset.dtype, casting="safe"):
        dataset[...] = values
        return
    _renew(file, name, values, values.dtype)


def _append(file: h5py.File, name: str, line: str) -> None:
    dataset = file[name]
    lines = [*dataset.asstr()[:], line]
    # It has a fixed length, so a longer one takes its place.
    _renew(file, name, np.array(lines, dtype=object), h5py.string_dtype())


def _renew(file: h5py.File, name: str, values: NDArray[Any], dtype: object) -> None:
    """Put a dataset in another's place, with its attributes and its scales."""
    old = file[name]
    scales = [list(old.dims[axis].values()) for axis in range(old.ndim)]
    attributes = {
        key: value for key, value in old.attrs.items() if key not in ("DIMENSION_LIST", "CLASS")
    }
    for axis, attached in enumerate(scales):
        for scale in attached:
            old.dims[axis].detach_scale(scale)
    fill = old.fillvalue if dtype == old.dtype else None
    del file[name]
    new = file.create_dataset(name, data=values, dtype=dtype, fillvalue=fill)
    for key, value in attributes.items():
        new.attrs[key] = value
    for axis, attached in enumerate(scales):
        for scale in attached:
            new.dims[axis].attach_scale(scale)
