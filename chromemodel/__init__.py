"""Train, evaluate and adapt models of gene expression from histone marks round the TSS.

The public names are imported on first use, so that ``import chromemodel`` costs nothing:

>>> import chromemodel
>>> "transferchrome" in chromemodel.MODELS
True
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from chromeprep._version import __version__

if TYPE_CHECKING:
    from chromemodel.adapt import METHODS
    from chromemodel.adapt.protocol import adapt_model
    from chromemodel.config import Normalisation, PanelChoice, RunConfig, Split, TrainConfig
    from chromemodel.evaluate.metrics import Metrics, Score, binary_metrics
    from chromemodel.evaluate.predict import predict_genes
    from chromemodel.evaluate.runs import evaluate_run
    from chromemodel.evaluate.select import select_run
    from chromemodel.models import MODELS
    from chromemodel.train.checkpoint import Run, read_run
    from chromemodel.train.single import train_model

_LAZY = {
    "METHODS": "chromemodel.adapt",
    "MODELS": "chromemodel.models",
    "Metrics": "chromemodel.evaluate.metrics",
    "Normalisation": "chromemodel.config",
    "PanelChoice": "chromemodel.config",
    "Run": "chromemodel.train.checkpoint",
    "RunConfig": "chromemodel.config",
    "Score": "chromemodel.evaluate.metrics",
    "Split": "chromemodel.config",
    "TrainConfig": "chromemodel.config",
    "adapt_model": "chromemodel.adapt.protocol",
    "binary_metrics": "chromemodel.evaluate.metrics",
    "evaluate_run": "chromemodel.evaluate.runs",
    "predict_genes": "chromemodel.evaluate.predict",
    "read_run": "chromemodel.train.checkpoint",
    "select_run": "chromemodel.evaluate.select",
    "train_model": "chromemodel.train.single",
}

__all__ = [
    "METHODS",
    "MODELS",
    "Metrics",
    "Normalisation",
    "PanelChoice",
    "Run",
    "RunConfig",
    "Score",
    "Split",
    "TrainConfig",
    "__version__",
    "adapt_model",
    "binary_metrics",
    "evaluate_run",
    "predict_genes",
    "read_run",
    "select_run",
    "train_model",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'chromemodel' has no attribute {name!r}")
    return getattr(importlib.import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
