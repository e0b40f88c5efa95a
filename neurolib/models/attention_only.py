"""A small transformer on tokens: token numbers ``(batch, time)`` in, logits of the next token ``(batch, time, token)`` out.

Small enough to be trained while a page is read, and open: the attention weights are computed eagerly, so that they
can be read, and the matrices of the heads are given as they act on the residual stream.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from neurolib.metrics.head_composition import HeadWeights
from neurolib.models.sites import Site, Tap, inside


@dataclass(frozen=True)
class AttentionOnlyConfig:
    """Pre-norm causal transformer with learned positions, without perceptrons unless asked for.

    References
    ----------
    .. [1] Elhage et al. (2021), "A mathematical framework for transformer circuits",
       transformer-circuits.pub/2021/framework.

    Examples
    --------
    >>> model = AttentionOnlyConfig(d=8, heads=2).build(n_tokens=5, n_positions=7)
    >>> tokens = torch.zeros(3, 6, dtype=torch.long)
    >>> model(tokens).shape, model.attention(tokens).shape
    (torch.Size([3, 6, 5]), torch.Size([3, 2, 2, 6, 6]))
    """

    d: int = 32  # width of the residual stream
    heads: int = 4
    layers: int = 2
    hidden: int = 0  # units of a perceptron after each attention; none for 0

    def __post_init__(self):
        if self.heads < 1 or self.d % self.heads:
            raise ValueError(f"d={self.d} must be a multiple of heads={self.heads}")
        if self.layers < 1 or self.hidden < 0:
            raise ValueError(f"layers={self.layers} must be at least 1, hidden={self.hidden} not negative")

    def build(self, n_tokens: int, n_positions: int) -> "AttentionOnly":
        """Make the model, with random weights."""
        return AttentionOnly(self, n_tokens, n_positions)


class AttentionOnly(nn.Module):
    """The model of :class:`AttentionOnlyConfig`."""

    def __init__(self, cfg: AttentionOnlyConfig, n_tokens: int, n_positions: int):
        super().__init__()
        self.embed, self.position = nn.Embedding(n_tokens, cfg.d), nn.Embedding(n_positions, cfg.d)
        self.enter = Tap()
        self.blocks = nn.ModuleList(AttentionBlock(cfg) for _ in range(cfg.layers))
        self.norm = nn.LayerNorm(cfg.d)
        self.unembed = nn.Linear(cfg.d, n_tokens, bias=False)
        for table in (self.embed, self.position):
            nn.init.normal_(table.weight, std=cfg.d**-0.5)

    def sites(self) -> tuple[Site, ...]:
        """Tokens with their positions, what each block reads, weighs and adds, and what is read out."""
        at = ("batch", "time", "channel")
        blocks = [inside(f"blocks.{i}", block.sites(), f"block.{i}.") for i, block in enumerate(self.blocks)]
        return (
            Site("tokens", "enter", at),
            *(site for block in blocks for site in block),
            Site("readout_in", "norm", at, side="input"),
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens ``(B, T)`` to logits ``(B, T, n_tokens)``."""
        return self._run(tokens)[0]

    def attention(self, tokens: Tensor) -> Tensor:
        """Attention weights ``(B, layer, head, query, key)`` of tokens ``(B, T)``."""
        return torch.stack(self._run(tokens)[1], dim=1)

    def head_weights(self, layer: int) -> HeadWeights:
        """Matrices of the heads of a layer, for :func:`~neurolib.metrics.head_composition.composition`.

        The norm before the heads is folded in as far as it is linear: its centring and its gain. Left out are its
        division by the spread, which is one number per token, its offset, and all biases. What heads write is
        centred, since every reader takes the mean away.
        """
        block = self.blocks[layer]
        d, heads = block.norm.normalized_shape[0], block.heads
        with torch.no_grad():
            centre = torch.eye(d, dtype=torch.double) - 1 / d
            read = centre * block.norm.weight.double() @ block.qkv.weight.double().T  # (d, 3 d)
            query, key, value = read.view(d, 3, heads, -1).permute(1, 2, 0, 3).numpy()
            out = (block.project.weight.double().T @ centre).view(heads, -1, d).numpy()
        return HeadWeights(query, key, value, out)

    def _run(self, tokens: Tensor) -> tuple[Tensor, list[Tensor]]:
        n = tokens.shape[1]
        if n > len(self.position.weight):
            raise ValueError(f"{n} tokens in a sequence; the model was built for {len(self.position.weight)}")
        x, weights = self.enter(self.embed(tokens) + self.position.weight[:n]), []
        for block in self.blocks:
            x, seen = block(x)
            weights.append(seen)
        return self.unembed(self.norm(x)), weights


class AttentionBlock(nn.Module):
    """Causal attention and, if asked for, a perceptron, each added to what comes in."""

    def __init__(self, cfg: AttentionOnlyConfig):
        super().__init__()
        self.heads = cfg.heads
        self.norm = nn.LayerNorm(cfg.d)
        self.qkv, self.project = nn.Linear(cfg.d, 3 * cfg.d), nn.Linear(cfg.d, cfg.d)
        self.pattern, self.each = Tap(), Tap()  # where each head looked, and what it read there
        self.mlp = None
        if cfg.hidden:
            parts = nn.LayerNorm(cfg.d), nn.Linear(cfg.d, cfg.hidden), nn.GELU(), nn.Linear(cfg.hidden, cfg.d)
            self.mlp = nn.Sequential(*parts)

    def sites(self) -> tuple[Site, ...]:
        """What the attention reads, where each head looks, what each and all give; the same of a perceptron.

        ``heads`` come before the output matrix, ``attention`` after it.
        """
        at = ("batch", "time", "channel")
        sites = (
            Site("attention_in", "norm", at, side="input"),
            Site("pattern", axes=("batch", "head", "query", "key")),
            Site("heads", "each", ("batch", "time", "head", "channel")),
            Site("attention", "project", at),
        )
        if self.mlp is not None:
            sites += (Site("mlp_in", "mlp", at, side="input"), Site("mlp", axes=at))
        return sites

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Take ``x (B, T, d)``; return as much, and attention weights ``(B, head, T, T)``."""
        n = x.shape[1]
        shape = (*x.shape[:2], 3, self.heads, -1)
        query, key, value = self.qkv(self.norm(x)).view(shape).permute(2, 0, 3, 1, 4)
        logits = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])
        later = torch.ones(n, n, dtype=torch.bool, device=x.device).triu(1)
        weights = self.pattern(logits.masked_fill(later, -math.inf).softmax(-1))
        x = x + self.project(self.each((weights @ value).transpose(1, 2)).flatten(2))
        return x if self.mlp is None else x + self.mlp(x), weights


def hand_built_induction(n_tokens: int, n_positions: int, sharpness: float = 1000.0) -> AttentionOnly:
    """Two layers, wired by hand, that continue what they saw before: the known answer for scores of heads.

    The residual stream holds three one-hot codes side by side: position, token, and the token before. Head 0 of
    the first layer looks one place back and writes the third code; head 0 of the second looks where the token
    before was the present one, and copies the token found there. Head 1 of both looks everywhere alike and
    writes nothing.

    Parameters
    ----------
    n_tokens, n_positions : int
    sharpness : float
        Of the attention of both; its weights are one or zero to the precision of float32.

    Examples
    --------
    >>> model = hand_built_induction(n_tokens=6, n_positions=8)
    >>> tokens = torch.tensor([[0, 4, 1, 3, 2, 4, 1]])  # the first place has none before it, so 0 only opens
    >>> model(tokens).argmax(-1)[0, 5:].tolist()  # 4 was followed by 1, and 1 by 3
    [1, 3]
    """
    width = n_positions + 2 * n_tokens
    d = 2 * width  # two heads, each as wide as all codes
    model = AttentionOnlyConfig(d=d, heads=2, layers=2).build(n_tokens, n_positions)
    place, token = slice(0, n_positions), slice(n_positions, n_positions + n_tokens)
    before = slice(n_positions + n_tokens, width)
    with torch.no_grad():
        for table in (model.embed.weight, model.position.weight, model.unembed.weight):
            table.zero_()
        model.position.weight[:, place] = torch.eye(n_positions)
        model.embed.weight[:, token] = torch.eye(n_tokens)
        model.unembed.weight[:, token] = torch.eye(n_tokens)
        for block in model.blocks:
            for part in (block.qkv, block.project):
                part.weight.zero_()
                part.bias.zero_()
        looks, copies = model.blocks
        back = torch.eye(n_positions).roll(-1, 0)  # position i asks for i - 1; the first has no choice
        _wire(looks, (place, back), (place, torch.eye(n_positions)), (token, before), n_tokens, sharpness)
        same = torch.eye(n_tokens)
        _wire(copies, (token, same), (before, same), (token, token), n_tokens, sharpness)
        copies.project.weight.mul_(3)  # above the code of the present token
    return model.eval()


def _wire(block: AttentionBlock, query, key, move: tuple[slice, slice], n_tokens: int, sharpness: float):
    """Head 0 of a block: what it asks with, what it asks for, and which code it writes where."""
    d = block.norm.normalized_shape[0]
    for part, (code, matrix) in enumerate((query, key)):
        rows = slice(part * d, part * d + len(matrix))
        block.qkv.weight[rows, code] = matrix * math.sqrt(sharpness)
    read, written = move
    block.qkv.weight[2 * d : 2 * d + n_tokens, read] = torch.eye(n_tokens)
    block.project.weight[written, :n_tokens] = torch.eye(n_tokens)
