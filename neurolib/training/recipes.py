"""Recipes for decoders with codes: a split of trials and settings in, a trained decoder out.

What differs between the recipes is when codes come in: never, from the start, after training
(post-training quantization), or before a second, gentle training (progressive).
"""

from dataclasses import dataclass, replace

import torch

from neurolib.data.trials import Split
from neurolib.models.discrete import DiscreteDecoder, DiscreteDecoderConfig, Distillation
from neurolib.models.quantizers.quantizer import QuantizerConfig
from neurolib.training.batches import Batch, trial_tensors
from neurolib.training.loop import TrainConfig, fit


@dataclass(frozen=True)
class Recipe:
    """How decoders of one study are trained.

    Examples
    --------
    >>> Recipe(TrainConfig(steps=100)).second(steps=50).steps
    50
    """

    train: TrainConfig
    max_bins: int = 80  # trials are cut into pieces of at most so many bins
    second_lr: float = 0.3  # learning rate of a second training, of the first one's
    second_steps: float = 0.5  # its steps, of the first one's

    @classmethod
    def cosine(cls, steps: int, device: str = "auto", eval_every: int = 15) -> "Recipe":
        """What the pages on discrete codes train by: small batches, a falling rate, little weight decay.

        Examples
        --------
        >>> Recipe.cosine(steps=100).train.schedule
        'cosine'
        """
        settings = {"batch_size": 16, "lr": 4e-3, "schedule": "cosine", "weight_decay": 1e-2}
        return cls(TrainConfig(steps, device=device, eval_every=eval_every, **settings))

    def tensors(self, split: Split) -> tuple[Batch, Batch]:
        """Training and valid trials for :func:`~neurolib.training.loop.fit`."""
        return tuple(trial_tensors(part.pieces(self.max_bins)) for part in (split.train, split.valid))

    def second(self, **changes) -> TrainConfig:
        """Settings of a second training."""
        steps = max(1, round(self.second_steps * self.train.steps))
        return replace(self.train, **{"steps": steps, "lr": self.second_lr * self.train.lr} | changes)


def trained(split: Split, cfg: DiscreteDecoderConfig, recipe: Recipe, seed: int = 0) -> DiscreteDecoder:
    """A decoder trained from the start; with a quantizer in ``cfg``, end to end.

    The seed decides its initial values and its order of batches.
    """
    torch.manual_seed(seed)
    decoder = DiscreteDecoder.for_trials(split.train, cfg)
    fit(decoder, *recipe.tensors(split), replace(recipe.train, seed=seed))
    return decoder


def kmeans_first(split: Split, cfg: DiscreteDecoderConfig, recipe: Recipe, seed: int = 0) -> DiscreteDecoder:
    """As :func:`trained`, but the codes begin as k-means of the untrained encoder's latents."""
    torch.manual_seed(seed)
    decoder = DiscreteDecoder.for_trials(split.train, replace(cfg, quantizer=None))
    decoder = decoder.quantised(cfg.quantizer, split.train, seed)
    fit(decoder, *recipe.tensors(split), replace(recipe.train, seed=seed))
    return decoder


def fine_tuned(
    continuous: DiscreteDecoder,
    quantizer: QuantizerConfig,
    split: Split,
    recipe: Recipe,
    seed: int = 0,
    **changes,
) -> DiscreteDecoder:
    """Progressive training: codes by k-means of a trained decoder's latents, then all parts go on.

    The encoder goes on at a tenth of the learning rate unless ``changes`` say otherwise.
    """
    decoder = continuous.quantised(quantizer, split.train, seed, **{"encoder_lr": 0.1} | changes)
    fit(decoder, *recipe.tensors(split), recipe.second(seed=seed))
    return decoder


def refitted(discrete: DiscreteDecoder, split: Split, recipe: Recipe, seed: int = 0) -> DiscreteDecoder:
    """Post-training quantization with a second look: only the head is trained on. Works in place."""
    discrete.freeze_encoder()
    fit(discrete, *recipe.tensors(split), recipe.second(seed=seed))
    return discrete


def distilled(
    teacher: DiscreteDecoder,
    quantizer: QuantizerConfig,
    split: Split,
    recipe: Recipe,
    outputs: float,
    latents: float,
    seed: int = 0,
) -> DiscreteDecoder:
    """As :func:`fine_tuned`, the student also following its teacher's outputs and latents.

    With both weights 0 it is :func:`fine_tuned`, which is the control.
    """
    student = teacher.quantised(quantizer, split.train, seed, encoder_lr=0.1)
    lesson = Distillation(student, teacher, outputs, latents)
    fit(lesson, *recipe.tensors(split), recipe.second(seed=seed))
    return student.eval()
