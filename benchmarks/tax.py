"""What four stages of residual codes cost in R² of velocity, set after training, against the continuous decoder.

Three seeds, one fold, on recorded motor cortex where it is there, else on its simulated twin; the page
`rvq/04_residual_codes` has ten seeds and five folds.
"""

import json

import numpy as np

from neurolib.data.sets import load
from neurolib.metrics.decoding import r2_variance_weighted
from neurolib.models.controls import RecurrentEncoderConfig
from neurolib.models.discrete import DiscreteDecoderConfig
from neurolib.models.quantizers.residual import ResidualConfig
from neurolib.training.loop import TrainConfig
from neurolib.training.recipes import Recipe, trained

RECIPE = Recipe(
    TrainConfig(steps=150, batch_size=16, lr=4e-3, schedule="cosine", eval_every=15, device="cpu")
)
DECODER = DiscreteDecoderConfig(RecurrentEncoderConfig("lstm", 64, dropout=0.3))


def main() -> list[dict]:
    """Measure the one claim."""
    trials = load("m1").with_outputs("velocity")
    split = trials.folds(5)[0]
    costs, target = [], split.test.behaviour
    for seed in range(3):
        continuous = trained(split, DECODER, RECIPE, seed)
        codes = continuous.quantised(ResidualConfig(n_stages=4, size=128), split.train, seed)
        scores = [r2_variance_weighted(target, model.predict(split.test)) for model in (continuous, codes)]
        costs.append(scores[0] - scores[1])
    row = {"claim": "rvq.tax_r2", "value": float(np.mean(costs)), "target": 0.005}
    return [row | {"simulated": trials.simulated, "device": "cpu"}]


if __name__ == "__main__":
    for row in main():
        print(json.dumps(row))
