"""Which models are there? One file a model, one line here to register it.

>>> from chromemodel.models import MODELS, create_model
>>> model = create_model("transferchrome", {"features": 16}, n_marks=5, n_bins=200)
>>> model.n_features
16
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from chromemodel.config import TaskName
from chromemodel.models import recipes
from chromemodel.registry import Registry
from chromemodel.serial import build_options

if TYPE_CHECKING:
    from chromemodel.models.base import ChromeNet

__all__ = ["MODELS", "create_model"]

MODELS: Registry[type[ChromeNet]] = Registry("model")
MODELS.register(
    "transferchrome",
    "chromemodel.models.transferchrome:TransferChrome",
    summary="dense convolutions, distance to the TSS, two layers of self-attention",
    reference="Chen et al. 2022, Front. Genet. 13",
    recipe=recipes.TRANSFERCHROME,
)
MODELS.register(
    "transferchrome.alpha",
    "chromemodel.models.transferchrome_variants:TransferChromeAlpha",
    summary="TransferChrome with sinusoidal positions",
    reference="Chen et al. 2022, Front. Genet. 13",
    recipe=recipes.TRANSFERCHROME,
)
MODELS.register(
    "transferchrome.beta",
    "chromemodel.models.transferchrome_variants:TransferChromeBeta",
    summary="TransferChrome without positions",
    reference="Chen et al. 2022, Front. Genet. 13",
    recipe=recipes.TRANSFERCHROME,
)
MODELS.register(
    "transferchrome.v1",
    "chromemodel.models.transferchrome_variants:TransferChromeV1",
    summary="TransferChrome with a dense block of 50, 50, 50 kernels",
    reference="Chen et al. 2022, Front. Genet. 13",
    recipe=recipes.TRANSFERCHROME,
)
MODELS.register(
    "transferchrome.v2",
    "chromemodel.models.transferchrome_variants:TransferChromeV2",
    summary="TransferChrome with one convolution, no dense block",
    reference="Chen et al. 2022, Front. Genet. 13",
    recipe=recipes.TRANSFERCHROME,
)
MODELS.register(
    "transferchrome.v3",
    "chromemodel.models.transferchrome_variants:TransferChromeV3",
    summary="TransferChrome with three plain convolutions, no dense block",
    reference="Chen et al. 2022, Front. Genet. 13",
    recipe=recipes.TRANSFERCHROME,
)
MODELS.register(
    "deepchrome",
    "chromemodel.models.deepchrome:DeepChrome",
    summary="one convolution, max-pooling, two hidden layers",
    reference="Singh et al. 2016, Bioinformatics 32",
    recipe=recipes.DEEPCHROME,
)
MODELS.register(
    "deepchrome.mlp",
    "chromemodel.models.deepchrome:DeepChromeMlp",
    summary="one hidden layer of tanh units on all bins",
    reference="Singh et al. 2016, Bioinformatics 32",
    recipe=recipes.DEEPCHROME,
)
MODELS.register(
    "attentivechrome",
    "chromemodel.models.attentivechrome:AttentiveChrome",
    summary="LSTM and attention over the bins of each mark, then over marks",
    reference="Singh et al. 2017, NeurIPS 30",
    recipe=recipes.ATTENTIVECHROME,
)
MODELS.register(
    "attentivechrome.lstm",
    "chromemodel.models.attentivechrome:Lstm",
    summary="one LSTM over the bins of all marks, no attention",
    reference="Singh et al. 2017, NeurIPS 30",
    recipe=recipes.ATTENTIVECHROME,
)
MODELS.register(
    "attentivechrome.lstm_attn",
    "chromemodel.models.attentivechrome:LstmAttention",
    summary="one LSTM over the bins of all marks, attention to bins",
    reference="Singh et al. 2017, NeurIPS 30",
    recipe=recipes.ATTENTIVECHROME,
)
MODELS.register(
    "attentivechrome.cnn_attn",
    "chromemodel.models.attentivechrome:CnnAttention",
    summary="DeepChrome's convolution, attention to bins",
    reference="Singh et al. 2017, NeurIPS 30",
    recipe=recipes.ATTENTIVECHROME,
)
MODELS.register(
    "attentivechrome.lstm_alpha",
    "chromemodel.models.attentivechrome:LstmAlpha",
    summary="LSTM and attention to bins for each mark, then linear",
    reference="Singh et al. 2017, NeurIPS 30",
    recipe=recipes.ATTENTIVECHROME,
)
MODELS.register(
    "attentivechrome.lstm_alpha_beta",
    "chromemodel.models.attentivechrome:AttentiveChrome",
    summary="attentivechrome by its name in the paper's table",
    reference="Singh et al. 2017, NeurIPS 30",
    recipe=recipes.ATTENTIVECHROME,
)
MODELS.register(
    "convchrome.cnn1d",
    "chromemodel.models.convchrome:Cnn1d",
    summary="four convolutions over bins, two linear layers",
    reference="Hamdy et al. 2022, Curr. Bioinform. 17",
    recipe=recipes.CONVCHROME,
)
MODELS.register(
    "convchrome.cnn2d",
    "chromemodel.models.convchrome:Cnn2d",
    summary="four convolutions over bins and marks, two linear layers",
    reference="Hamdy et al. 2022, Curr. Bioinform. 17",
    recipe=recipes.CONVCHROME,
)
MODELS.register(
    "convchrome.hybrid",
    "chromemodel.models.convchrome:Hybrid",
    summary="convchrome.cnn1d with self-attention to near bins",
    reference="Hamdy et al. 2022, Curr. Bioinform. 17",
    recipe=recipes.CONVCHROME,
)
MODELS.register(
    "deepepi",
    "chromemodel.models.deepepi:DeepEpi",
    summary="four convolutions, three LSTMs with self-attention to near bins",
    reference="Hamdy et al. 2024, Curr. Bioinform. 19",
    recipe=recipes.DEEPEPI,
)
MODELS.register(
    "crnn",
    "chromemodel.models.crnn:Crnn",
    summary="two convolutions over bins and marks, an LSTM over bins",
    reference="Zhu et al. 2018, EMBEC & NBC 2017",
    recipe=recipes.CRNN,
)
MODELS.register(
    "tcn",
    "chromemodel.models.tcn:Tcn",
    summary="residual blocks of dilated causal convolutions",
    reference="after Zhu et al. 2018, Kamal et al. 2020; as Bai et al. 2018",
    recipe=recipes.TCN,
)
MODELS.register(
    "logistic",
    "chromemodel.models.linear:Logistic",
    summary="logistic regression on all bins",
    reference="Karlic et al. 2010, PNAS 107",
    fitter="scikit-learn",
    tasks=("classification",),
)
MODELS.register(
    "logistic.summed",
    "chromemodel.models.linear:LogisticSummed",
    summary="logistic regression on one value a mark",
    reference="Karlic et al. 2010, PNAS 107",
    fitter="scikit-learn",
    tasks=("classification",),
)
MODELS.register(
    "linear_svm",
    "chromemodel.models.linear:LinearSvm",
    summary="linear support vector machine on all bins",
    reference="Singh et al. 2016, Bioinformatics 32",
    fitter="scikit-learn",
    tasks=("classification",),
)
MODELS.register(
    "random_forest",
    "chromemodel.models.trees:RandomForest",
    summary="random forest on all bins",
    reference="Breiman 2001, Mach. Learn. 45",
    fitter="scikit-learn",
    regressor="chromemodel.models.regressors:ForestRegressor",
)
MODELS.register(
    "gradient_boosting",
    "chromemodel.models.trees:GradientBoosting",
    summary="gradient-boosted trees on all bins",
    reference="Friedman 2001, Ann. Stat. 29",
    fitter="scikit-learn",
    regressor="chromemodel.models.regressors:BoostingRegressor",
)
MODELS.register(
    "ridge",
    "chromemodel.models.regressors:Ridge",
    summary="ridge regression on all bins",
    reference="Hoerl and Kennard 1970, Technometrics 12",
    fitter="scikit-learn",
    tasks=("regression",),
)
MODELS.register(
    "ensemble",
    "chromemodel.models.ensemble:Ensemble",
    summary="logistic regression on all bins and boosted trees on pooled bins",
    reference="ours; docs/accuracy.md",
    fitter="scikit-learn",
    tasks=("classification",),
)


def create_model(
    name: str,
    options: Mapping[str, Any],
    *,
    n_marks: int,
    n_bins: int,
    task: TaskName = "classification",
) -> ChromeNet:
    """Make a model with fresh weights from torch's random state.

    Parameters
    ----------
    name
        A registered model.
    options
        Some fields of its ``Config``; the rest are defaults.
    n_marks, n_bins
        The shape of a gene's signal.
    task
        What it will be trained for.

    Raises
    ------
    ValueError
        Where the name or an option is unknown or wrong, or the windows are too small.
    """
    cls = MODELS.load(name, task)
    return cls(build_options(cls.Config, options), n_marks=n_marks, n_bins=n_bins)
