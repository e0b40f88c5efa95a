r"""Attention rollout: attention matrices in, how much of each query goes back to each token ``(batch, query, token)`` out.

.. math:: R = \prod_{l = L}^{1} \big(r I + (1 - r) A_l\big)

Half of what leaves a layer came past it, on the residual stream, and half through its attention. Reading rows as chances
makes this a random walk from query to token, which the values that are carried know nothing of: it is a map of
where a network could look, and needs a check before anyone believes that it does.
"""

from collections.abc import Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn

from neurolib.interpret.activations import Run, call, record
from neurolib.interpret.attribution.hidden_attention import hidden_attention
from neurolib.interpret.attribution.tree import Inputs
from neurolib.models.multimodal.backbone import SlotAttention
from neurolib.models.multimodal.network import MultimodalModel


class Rollout(NamedTuple):
    """Where queries of a model look, through all its layers.

    Parameters
    ----------
    scores : Tensor, shape (B, query, token)
    excess : Tensor, shape (B, query, token)
        Scores less those of attention that is spread evenly over whatever a query may see; the null to
        subtract, since the reach of masks alone makes some tokens likely.
    null : Tensor, shape (B, query)
        What ends at keys that stand for nothing; scores and null add up to one.
    time : Tensor, shape (B, token)
        Seconds.
    parts : dict of slice
        Tokens of each modality.
    """

    scores: Tensor
    excess: Tensor
    null: Tensor
    time: Tensor
    parts: dict[str, slice]

    def by_modality(self) -> dict[str, Tensor]:
        """Sum of the scores of each modality, ``(B, query)`` each."""
        return {name: self.scores[..., part].sum(-1) for name, part in self.parts.items()}


def attention_rollout(matrices: Sequence[Tensor], residual: float = 0.5) -> Tensor:
    """Product of attention matrices with the residual stream beside each, ``(..., L, L)``.

    Parameters
    ----------
    matrices : sequence of Tensor, shape (..., L, L)
        First layer first, heads averaged; rows are queries. A row that adds up to less than one loses the rest.
    residual : float
        Share that goes past a layer.

    Raises
    ------
    ValueError
        If entries are negative, rows add up to more than one, or shapes disagree.

    References
    ----------
    .. [1] Abnar & Zuidema (2020), "Quantifying attention flow in transformers", ACL, arXiv:2005.00928.

    Examples
    --------
    >>> swap = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    >>> attention_rollout([swap]).tolist()
    [[0.5, 0.5], [0.5, 0.5]]
    """
    matrices = list(matrices)
    if not matrices or not 0 <= residual <= 1:
        raise ValueError(
            f"{len(matrices)} matrices with residual={residual}; need one and a share from 0 to 1"
        )
    product = None
    for number, matrix in enumerate(matrices):
        if matrix.shape[-1] != matrix.shape[-2]:
            raise ValueError(f"matrix {number} is {tuple(matrix.shape)}; layers attend among the same things")
        _check(matrix, f"matrix {number}")
        layer = residual * torch.eye(matrix.shape[-1]).to(matrix) + (1 - residual) * matrix
        product = layer if product is None else layer @ product
    return product


def evenly(matrix: Tensor) -> Tensor:
    """The same sums of rows, spread evenly over what is not zero.

    Examples
    --------
    >>> evenly(torch.tensor([[0.75, 0.25, 0.0]])).tolist()
    [[0.5, 0.5, 0.0]]
    """
    seen = (matrix > 0).to(matrix)
    return matrix.sum(-1, keepdim=True) * seen / seen.sum(-1, keepdim=True).clamp(min=1)


def rollout(
    model: nn.Module, inputs: Inputs, run: Run = call, residual: float = 0.5, call_of_read: int = 0
) -> Rollout:
    """Rollout of a multimodal model from the queries of its read-out back to tokens.

    Read-out, state spaces (as :math:`|M|`, see :mod:`.hidden_attention`) with the attention among slots, the layers among
    latents, and the read of tokens, each the mean over heads.

    Parameters
    ----------
    model : nn.Module
        A :class:`~neurolib.models.multimodal.network.MultimodalModel`, or a model that holds one.
    inputs : Inputs
    run : callable
        ``run(model, inputs)``; it must read the latents, as decoding does.
    residual : float
        Share that goes past a layer. None goes past the two reads, whose queries are no tokens.
    call_of_read : int
        Which call of the read-out, where there are several.

    Returns
    -------
    Rollout

    Raises
    ------
    ValueError
        If there is no such model, or one with several rates or a perceptron among slots, which have no such weights.
    """
    inner = next((part for part in model.modules() if isinstance(part, MultimodalModel)), None)
    if inner is None:
        raise ValueError(
            f"{type(model).__name__} holds no MultimodalModel; see attention_rollout for matrices"
        )
    cfg = inner.cfg.backbone
    if len(cfg.rates) > 1 or cfg.slots == "mlp":
        raise ValueError(
            f"no rollout with rates={cfg.rates} and slots={cfg.slots!r}: their mixing has no weights"
        )
    slots = inner.cfg.perceiver.slots
    with _listening(inner) as heard, torch.no_grad():
        record(model, inputs, [], run=run)
    reads = heard.calls(inner.perceiver.leave.attend)
    if len(reads) <= call_of_read:
        raise ValueError(
            f"the run read the latents {len(reads)} times, not {call_of_read + 1}; does it decode?"
        )
    enter, read = heard.one(inner.perceiver.enter.attend), reads[call_of_read]
    layers = [heard.one(layer.attend)[..., 1:] for layer in inner.perceiver.process]
    for block in inner.backbone.stacks[0]:
        layers += heard.of_block(block, slots)
    chain = [enter[..., 1:], *layers, read[..., 1:]]
    scores, even = (
        _through(matrices, residual) for matrices in (chain, [evenly(matrix) for matrix in chain])
    )
    return Rollout(scores, scores - even, 1 - scores.sum(-1), heard.time, heard.parts)


def _through(chain: list[Tensor], residual: float) -> Tensor:
    enter, *layers, read = chain
    return read @ (attention_rollout(layers, residual) @ enter if layers else enter)


class _Heard:
    """Weights of attention in a run, by module."""

    def __init__(self):
        self.weights: dict[nn.Module, list[Tensor]] = {}
        self.parts: dict[str, slice] = {}
        self.time: Tensor | None = None

    def calls(self, module: nn.Module) -> list[Tensor]:
        return self.weights.get(module, [])

    def one(self, module: nn.Module) -> Tensor:
        found = self.calls(module)
        if len(found) != 1:
            raise ValueError(f"a layer of the model ran {len(found)} times; a rollout is of one run")
        return found[0]

    def of_block(self, block: nn.Module, slots: int) -> list[Tensor]:
        """Matrices among latents ``(B, T * K, T * K)``, slots of a time after each other."""
        mixed = self.one(block.mixer)
        if block.backward_mixer is not None:
            mixed = (mixed + self.one(block.backward_mixer).flip(1, 2)) / 2
        if not block.time_major:  # slot k of window b is row b * K + k
            mixed = mixed.unflatten(0, (-1, slots))
            same = torch.eye(slots).to(mixed)
            mixed = torch.einsum("bkts,kl->btksl", mixed, same).flatten(3, 4).flatten(1, 2)
        if block.slots is None:
            return [mixed]
        across = self.one(block.slots).unflatten(0, (len(mixed), -1))  # (B, T, K, K)
        same = torch.eye(across.shape[1]).to(across)
        across = torch.einsum("btkl,ts->btksl", across, same).flatten(3, 4).flatten(1, 2)
        return [mixed, across]


@contextmanager
def _listening(model: MultimodalModel):
    heard, handles = _Heard(), []

    def keep(module: nn.Module, weights: Tensor) -> None:
        heard.weights.setdefault(module, []).append(weights)

    def timed(module, args, kwargs):
        keep(module, module.weights(*args, **kwargs).mean(1))
        if module is model.perceiver.enter.attend:
            heard.time = args[3]

    def tokenized(name: str):
        def seen(module, args, output):
            first = max((part.stop for part in heard.parts.values()), default=0)
            heard.parts[name] = slice(first, first + output.time.shape[1])

        return seen

    perceiver = model.perceiver
    try:
        for layer in (perceiver.enter, *perceiver.process, perceiver.leave):
            handles.append(layer.attend.register_forward_pre_hook(timed, with_kwargs=True))
        for block in model.backbone.stacks[0]:
            for mixer in (block.mixer, block.backward_mixer):
                if mixer is not None:
                    handles.append(
                        mixer.register_forward_pre_hook(
                            lambda m, args: keep(m, hidden_attention(m, args[0]).size)
                        )
                    )
            if isinstance(block.slots, SlotAttention):
                handles.append(
                    block.slots.register_forward_pre_hook(lambda m, a: keep(m, slot_weights(m, a[0])))
                )
        for name, tokenizer in model.tokenizers.items():
            handles.append(tokenizer.register_forward_hook(tokenized(name)))
        yield heard
    finally:
        for handle in handles:
            handle.remove()


def slot_weights(attention: SlotAttention, x: Tensor) -> Tensor:
    """Weights of attention among slots ``(..., K, d)``, mean over heads, ``(n, K, K)``."""
    query, key, _ = (
        attention.qkv(x.flatten(0, -3)).unflatten(-1, (3, attention.heads, -1)).permute(2, 0, 3, 1, 4)
    )
    return (query @ key.mT / query.shape[-1] ** 0.5).softmax(-1).mean(1)


def _check(matrix: Tensor, name: str) -> None:
    if (matrix < 0).any() or (matrix.sum(-1) > 1 + 1e-4).any():
        raise ValueError(
            f"{name} has entries below zero or rows of more than one; rollout is of weights: normalise |M| first"
        )
