"""Known answers of :mod:`neurolib.interpret.dictionaries`, for :mod:`neurolib.interpret.selfcheck`."""

from dataclasses import replace

import torch
from torch import nn

from neurolib.interpret.activations import patch
from neurolib.interpret.dictionaries.features import steered
from neurolib.interpret.dictionaries.quality import (
    explained_by,
    loss_recovered,
    mean_max_cosine,
    pca_explained,
    pursuit,
    quality,
)
from neurolib.interpret.dictionaries.stability import stability
from neurolib.interpret.dictionaries.synthetic import SparseWorld
from neurolib.interpret.dictionaries.topk import BatchTopKConfig
from neurolib.interpret.dictionaries.training import DictionaryTraining, train_dictionary
from neurolib.interpret.selfcheck import Answer, answer

WORLD = SparseWorld(n_atoms=64, n_channels=32, k=3)
TRAINING = DictionaryTraining(steps=900)


def known_answers() -> list[Answer]:
    """A small world whose 64 atoms in 32 channels are known, learnt twice."""
    vectors, unseen = WORLD.draw(20_000), WORLD.draw(2_000, seed=2)
    cfg = BatchTopKConfig(n_features=WORLD.n_atoms, k=WORLD.k)
    first, second = (train_dictionary(cfg, vectors, replace(TRAINING, seed=seed))[0] for seed in (0, 1))
    found = quality(first, unseen)
    flat = pca_explained(vectors, unseen, [WORLD.k])[WORLD.k]
    searched = explained_by(unseen, pursuit(unseen, first.W_dec, WORLD.k, first.b_dec / first.scale))
    agreed = stability([first.W_dec, second.W_dec])
    readout = nn.Sequential(nn.Identity(), nn.Linear(WORLD.n_channels, 1, bias=False)).requires_grad_(False)
    readout[1].weight.copy_(first.W_dec[:1])
    wanted = readout(unseen)
    task = loss_recovered(readout, unseen, "0", first, lambda out: (out - wanted).square().mean())
    with patch(readout, {"0": steered(first, 0, 1.0)}), torch.no_grad():
        high = readout(unseen)
    with patch(readout, {"0": steered(first, 0, 0.0)}), torch.no_grad():
        low = readout(unseen)
    return [
        answer(
            "cosine of true atoms to learnt ones",
            mean_max_cosine(WORLD.atoms, first.W_dec),
            0.95,
            way="least",
        ),
        answer("variance explained by its own codes", found.explained, 0.8, way="least"),
        answer("variance explained by searched codes", searched, 0.95, way="least"),
        answer("variance explained, less that of PCA", found.explained - flat, 0.3, way="least"),
        answer("share of dead features", found.dead, 0.05, way="most"),
        answer("active features", found.l0, WORLD.k, 0.3),
        answer("cosine of features between two seeds", agreed.mean, 0.9, way="least"),
        answer("the same of random dictionaries", agreed.null.mean(), 0.6, way="most"),
        answer("share of a task recovered", task.recovered, 0.7, way="least"),
        answer("steering a feature moves its readout", (high - low).mean() * first.scale, 1.0, 1e-4),
    ]
