"""With which optimizer, batches and epochs did each paper train?

The recipe of a model is what ``--recipe paper`` trains it by. ``patience`` is ours
throughout: the papers run all epochs and keep the best on the validation genes, or the last.
"""

from __future__ import annotations

from chromemodel.config import TrainConfig

#: "Model training" of Chen et al. 2022; batch size and patience are ours.
TRANSFERCHROME = TrainConfig()
#: The settings of the authors' code: plain gradient descent, gene by gene.
DEEPCHROME = TrainConfig(lr=0.001, momentum=0.0, weight_decay=0.0, batch_size=1, epochs=100)
#: Singh et al. 2017: gradients clipped to a norm of 1.
ATTENTIVECHROME = TrainConfig(
    "adam", lr=0.0002, weight_decay=0.0, batch_size=16, epochs=30, clip_norm=1.0
)
#: The authors' notebook.
CONVCHROME = TrainConfig("adam", lr=0.005, weight_decay=0.0, batch_size=200, epochs=10)
#: The authors' notebook; Keras's Adam has a learning rate of 0.001.
DEEPEPI = TrainConfig("adam", lr=0.001, weight_decay=0.0, batch_size=300, epochs=10)
#: The authors' code, with Keras's Adam.
CRNN = TrainConfig("adam", lr=0.001, weight_decay=0.0, batch_size=200, epochs=500)
#: Ours: no settings were at hand.
TCN = TrainConfig("adam", lr=0.001, weight_decay=0.0, batch_size=64, epochs=100)
