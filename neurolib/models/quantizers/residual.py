"""Residual vector quantization: each stage codes what the stages before it left; one stage is plain VQ.

Latents ``(..., dim)`` in, one code per stage out.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from neurolib.models.quantizers.coding import Coded, beam_search, code_stages, look_up
from neurolib.models.quantizers.estimators import Attach
from neurolib.models.quantizers.kmeans import residual_kmeans
from neurolib.models.quantizers.quantizer import Quantized, Quantizer, check_finite
from neurolib.models.quantizers.search import Search

UPDATES = ("ema", "gradient", "linear", "frozen")
ESTIMATORS = ("straight_through", "rotation")


@dataclass(frozen=True)
class ResidualConfig:
    """Settings of a :class:`ResidualQuantizer`.

    Raises
    ------
    ValueError
        If a setting makes no sense.
    """

    n_stages: int = 1  # 1 is plain vector quantization
    size: int = 512  # codes per stage
    update: str = (
        "ema"  # running means; "gradient"; "linear" (SimVQ: a frozen codebook, a learned map); "frozen"
    )
    commitment: float = 0.25  # pull of the latents towards their codes, beta
    estimator: str = "straight_through"  # gradient through the codes, or "rotation"
    decay: float = 0.99  # of the running means, per step
    dead_below: float = 0.03  # a code used less than this share of its due is drawn anew, SimVQ's never; or 0
    stage_dropout: bool = False  # train with the first 1..n_stages stages, drawn per batch
    beam: int = 1  # partial codes kept while searching; 1 is greedy

    def __post_init__(self):
        for name in ("n_stages", "beam"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} must be at least 1")
        for name, choices in (("update", UPDATES), ("estimator", ESTIMATORS)):
            if getattr(self, name) not in choices:
                raise ValueError(f"{name}={getattr(self, name)!r} must be one of {choices}")
        if not 0 < self.decay < 1 or not 0 <= self.dead_below < 1 or self.commitment < 0:
            raise ValueError(
                f"decay={self.decay} and dead_below={self.dead_below} are shares below 1, "
                f"commitment={self.commitment} a weight"
            )

    def build(self, dim: int) -> "ResidualQuantizer":
        """A quantizer of latents with ``dim`` channels."""
        return ResidualQuantizer(self, dim)


class ResidualQuantizer(Quantizer):
    """A sum of codes, one from each stage's codebook.

    Parameters
    ----------
    cfg : ResidualConfig
    dim : int

    Attributes
    ----------
    shares : Tensor, shape (n_stages, size)
        Running mean of the share of latents that each code gets.

    Notes
    -----
    The running means are kept as codes and shares, not as sums and counts: with ``n_k`` of a batch of
    ``B`` latents nearest to ``e_k`` and ``s_k`` their sum,

        shares_k <- decay * shares_k + (1 - decay) * n_k / B
        e_k <- e_k + (1 - decay) * (s_k - n_k e_k) / (B * shares_k)

    which is the usual recursion, without a state in which sums and counts contradict each other.
    ``n_k e_k - s_k`` is at the same time the gradient of the codebook loss.

    Gradients of ``z_q`` reach the latents once, not once per stage, and the commitment of every
    stage does. Only the stages in use learn.

    References
    ----------
    .. [1] van den Oord et al. (2017), "Neural discrete representation learning", arXiv:1711.00937.
    .. [2] Zeghidour et al. (2021), "SoundStream", arXiv:2107.03312.
    .. [3] Zhu et al. (2024), "SimVQ", arXiv:2411.02038.
    .. [4] Fifty et al. (2024), "The rotation trick", arXiv:2410.06424.

    Examples
    --------
    >>> z = torch.tensor([[0.0], [1.0], [10.0], [11.0]])
    >>> quantizer = ResidualConfig(n_stages=2, size=2, update="frozen").build(dim=1).init_kmeans(z)
    >>> quantizer.quantize(z).z_q[:, 0].tolist(), quantizer.bits
    ([0.0, 1.0, 10.0, 11.0], 2.0)
    """

    def __init__(self, cfg: ResidualConfig, dim: int):
        super().__init__(dim, (cfg.size,) * cfg.n_stages)
        self.cfg = cfg
        codes = torch.randn(cfg.n_stages, cfg.size, dim) / math.sqrt(dim)
        if cfg.update == "gradient":
            self.codes = nn.Parameter(codes)
        else:
            self.register_buffer("codes", codes)
        if cfg.update == "linear":
            self.map = nn.Parameter(torch.eye(dim).repeat(cfg.n_stages, 1, 1))
        self.register_buffer("shares", torch.full((cfg.n_stages, cfg.size), 1 / cfg.size))
        self._ready: tuple = ()

    @property
    def codebooks(self) -> Tensor:
        """The codes themselves, ``(n_stages, size, dim)``."""
        return self.codes @ self.map if self.cfg.update == "linear" else self.codes

    def quantize(self, z: Tensor, n_stages: int | None = None) -> Quantized:
        """Code latents ``(..., dim)`` with all stages, or the first ``n_stages``.

        In training mode with ``stage_dropout`` the number is drawn. ``diagnostics`` holds
        ``stage_mse (n_stages,)``, the mean squared error per channel after each stage, and while learning
        ``revived ()``, how many codes were drawn anew.

        Raises
        ------
        ValueError
            If the latents have another width or are not finite.
        """
        rows, books = self._rows(z), self.codebooks
        n_stages = self._n_stages(n_stages)
        moves = self.training and self.cfg.update != "frozen"
        learns = torch.is_grad_enabled() and (z.requires_grad or books.requires_grad)
        with torch.no_grad():
            values = rows.detach().to(books.dtype)
            searches = self._searches(books)[:n_stages]
            codes = beam_search(values, searches, self.cfg.beam) if self.cfg.beam > 1 else None
            done = code_stages(values, searches, codes, need_sums=moves, need_left=learns)
            check_finite(done.mean, values)
            z_q = look_up(books, done.codes) if done.z_q is None else done.z_q
            loss = done.mean * self._weight
        if learns:
            z_q, loss = self._attach(rows, books, values, z_q, loss, done)
        diagnostics = {"stage_mse": done.mse}
        if moves:
            diagnostics["revived"] = self._learn(values, done)
        shape = z.shape[:-1]
        return Quantized(done.codes.view(*shape, n_stages), z_q.view(z.shape), loss, diagnostics)

    def decode(self, codes: Tensor) -> Tensor:
        """What codes ``(..., 1 to n_stages)`` stand for; fewer columns are the first stages."""
        return look_up(self.codebooks, self._code_rows(codes, prefix=True)).view(*codes.shape[:-1], self.dim)

    @torch.no_grad()
    def init_kmeans(self, z: Tensor, seed: int = 0) -> "ResidualQuantizer":
        """Set codes and shares by k-means of training latents ``(..., dim)``, stage by stage.

        Best with 30 latents per code or more.

        Raises
        ------
        ValueError
            If there are fewer distinct latents than codes, or one is not finite.
        """
        found = residual_kmeans(
            self._rows(z).detach().to(self.codes.dtype), self.cfg.size, self.cfg.n_stages, seed=seed
        )
        self.codes.copy_(torch.stack([stage.centres for stage in found]))
        self.shares.copy_(torch.stack([stage.counts / stage.counts.sum() for stage in found]))
        if self.cfg.update == "linear":
            self.map.copy_(torch.eye(self.dim).expand_as(self.map))
        return self

    @torch.no_grad()
    def init_random(self, z: Tensor, seed: int = 0) -> "ResidualQuantizer":
        """Take training latents ``(..., dim)`` drawn at random for codes, stage by stage of what is left.

        The control for :meth:`init_kmeans`: codes where latents are, but nothing of clusters.
        """
        left, draw = self._rows(z).detach().to(self.codes.dtype), torch.Generator().manual_seed(seed)
        for stage in range(self.cfg.n_stages):
            rows = torch.randint(len(left), (self.cfg.size,), generator=draw).to(left.device)
            self.codes[stage].copy_(left[rows])
            left = left - self.codes[stage][Search(self.codes[stage])(left)]
        self.shares.fill_(1 / self.cfg.size)
        return self

    def stream(self) -> "ResidualStream":
        """Code one latent at a time, in NumPy."""
        return ResidualStream(self)

    @property
    def _weight(self) -> float:
        """Of the mean squared error in the loss: commitment, and the codebook's own where it has gradients."""
        return self.cfg.commitment + (self.cfg.update in ("gradient", "linear"))

    def _n_stages(self, asked: int | None) -> int:
        if asked is not None:
            if not 1 <= asked <= self.cfg.n_stages:
                raise ValueError(f"n_stages={asked} of a quantizer with {self.cfg.n_stages}")
            return asked
        if self.training and self.cfg.stage_dropout:
            drawn = torch.randint(1, self.cfg.n_stages + 1, (), device=self.shares.device)
            if _several_processes():
                torch.distributed.broadcast(drawn, src=0)
            return int(drawn)
        return self.cfg.n_stages

    def _searches(self, books: Tensor) -> list[Search]:
        """Made anew only when the codebooks changed: for one latent this is half the work.

        torch counts changes, except those by a fused optimiser or through ``.data``.
        """
        books, learned = books.detach(), books.requires_grad
        if learned or torch.compiler.is_compiling() or books.is_inference():
            self._ready = ()
            return [Search(book) for book in books]
        key = (books.data_ptr(), books._version, books.dtype, books.device)
        if not self._ready or self._ready[0] != key:
            # The tensor is kept too: its memory must not be given to another one under the same key.
            self._ready = key, [Search(book) for book in books], books
        return self._ready[1]

    def __getstate__(self) -> dict:
        """Without what :meth:`_searches` keeps, which a copy must make for itself."""
        return self.__dict__ | {"_ready": ()}

    def _attach(self, rows, books, values, z_q, loss, done: Coded) -> tuple[Tensor, Tensor]:
        """Give ``z_q`` and ``loss`` their gradients."""
        scale = 2 / (values.numel() * done.codes.shape[1])
        to_books = None
        if books.requires_grad:
            if done.sums is None:
                done = code_stages(values, self._searches(books), done.codes, need_sums=True, need_left=True)
            to_books = torch.zeros_like(books)
            used = done.codes.shape[1]
            to_books[:used] = scale * (done.counts[..., None] * books[:used] - done.sums)
        turn = self.cfg.estimator == "rotation"
        pull = done.left.mul_(scale * self.cfg.commitment)
        return Attach.apply(rows, books, z_q, loss, pull, to_books, values if turn else None)

    @torch.no_grad()
    def _learn(self, values: Tensor, done: Coded) -> Tensor:
        """Running means of shares and codes, and new codes in place of dead ones."""
        counts, sums, n = done.counts, done.sums, values.new_tensor(float(len(values)))
        if _several_processes():
            for each in (counts, sums, n):
                torch.distributed.all_reduce(each)
        used = done.codes.shape[1]
        shares, codes, rate = self.shares[:used], self.codes[:used], 1 - self.cfg.decay
        shares.lerp_(counts / n, rate)
        if self.cfg.update == "ema":
            step = sums.sub_(counts[..., None] * codes)
            # A code without latents has nothing in `step`, whatever is left of its share.
            codes.add_(step.mul_((rate / n / shares.clamp(min=1e-30))[..., None]))
        if self.cfg.update == "linear" or not self.cfg.dead_below:
            return counts.new_zeros((), dtype=torch.long)
        return self._revive(values, done)

    def _revive(self, values: Tensor, done: Coded) -> Tensor:
        """Put dead codes where a latent of this batch is, with an even share, so that they stay a while."""
        used = done.codes.shape[1]
        dead = self.shares[:used] < self.cfg.dead_below / self.cfg.size
        if not bool(dead.any()):
            return dead.sum()
        before = self.codebooks[:used].clone()  # the codes of a stage are drawn from what the old ones leave
        for stage in range(used):
            at = dead[stage].nonzero()[:, 0]
            pick = torch.randperm(len(values), device=values.device)[: len(at)]
            at, left = at[: len(pick)], values[pick].clone()
            if stage:
                left -= look_up(before, done.codes[pick, :stage])
            self.codes[stage, at] = left
            self.shares[stage, at] = 1 / self.cfg.size
        if _several_processes():  # each drew from its own part of the batch
            for each in (self.codes, self.shares):
                torch.distributed.broadcast(each, src=0)
        return dead.sum()


class ResidualStream:
    """A :class:`ResidualQuantizer` in use: one latent in, its codes out, both in NumPy.

    Greedy whatever ``beam`` is. The codebooks are copied: what is learned later does not reach it.
    """

    def __init__(self, quantizer: ResidualQuantizer):
        books = quantizer.codebooks.detach().cpu().clone()
        self.dim, self.books = quantizer.dim, books.numpy()
        self._searches = [Search(book) for book in books]

    def encode(self, z: ArrayLike) -> NDArray:
        """Codes ``(n_stages,)`` of a latent ``(dim,)``."""
        z = np.array(z, dtype=self.books.dtype)
        if z.shape != (self.dim,) or not np.isfinite(z @ z):
            raise ValueError(f"a latent of shape {z.shape}; want ({self.dim},), finite")
        codes = np.empty(len(self.books), dtype=np.int64)
        for stage, search in enumerate(self._searches):
            codes[stage] = at = search.one(z)
            z -= self.books[stage, at]
        return codes

    def decode(self, codes: ArrayLike) -> NDArray:
        """What codes ``(n_stages,)`` stand for, ``(dim,)``."""
        codes, size = np.asarray(codes), self.books.shape[1]
        right = codes.shape == (len(self.books),) and codes.dtype.kind in "iu"
        if not right or codes.min() < 0 or codes.max() >= size:
            raise ValueError(
                f"codes {codes.tolist()}; want {len(self.books)} whole numbers from 0 to {size - 1}"
            )
        return self.books[np.arange(len(codes)), codes].sum(axis=0)


def _several_processes() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()
