"""Training of sparse dictionaries: an autoencoder and vectors ``(n, channel)`` in, a trained one and a history out.

A loop of its own, because :func:`neurolib.training.loop.fit` has no place for what happens after each step:
atoms back to unit norm, dead features counted, and drawn anew.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from neurolib.interpret.dictionaries.autoencoder import AutoencoderConfig, SparseAutoencoderBase


@dataclass(frozen=True)
class DictionaryTraining:
    """How to train.

    Parameters
    ----------
    steps, batch_size : int
        Recordings have some 1e5 vectors, not 1e9: batches are smaller than is usual, and vectors come again.
    lr : float
        Of Adam; it falls linearly to nothing over the last fifth. Language models take 3e-4 and a hundred
        times the steps; this one found most of a known dictionary in few.
    beta1 : float
        Momentum of Adam.
    dead_after : int
        A feature is dead when it was active on none of so many vectors.
    resample_every : int
        Steps between draws of new values for dead features, while the rate has not begun to fall; 0 never.
    seed : int
        Of first values and order of vectors.
    """

    steps: int = 1500
    batch_size: int = 512
    lr: float = 6e-3
    beta1: float = 0.9
    dead_after: int = 20_000
    resample_every: int = 100
    seed: int = 0

    def __post_init__(self):
        if min(self.steps, self.batch_size, self.dead_after) < 1 or self.resample_every < 0:
            raise ValueError(
                f"steps={self.steps}, batch_size={self.batch_size}, dead_after={self.dead_after} must be positive "
                f"and resample_every={self.resample_every} not negative"
            )
        if self.lr <= 0 or not 0 <= self.beta1 < 1:
            raise ValueError(f"lr={self.lr} must be positive and beta1={self.beta1} below 1")

    def rate(self, step: int) -> float:
        """Learning rate of a step.

        Examples
        --------
        >>> training = DictionaryTraining(steps=10, lr=1.0)
        >>> [round(training.rate(step), 2) for step in (0, 8, 9)]
        [1.0, 1.0, 0.5]
        """
        return self.lr * min(1.0, (self.steps - step) / max(0.2 * self.steps, 1.0))


@dataclass
class History:
    """What training looked like: at each noted step the loss of its batch, active and dead features."""

    step: list[int] = field(default_factory=list)
    loss: list[float] = field(default_factory=list)
    l0: list[float] = field(default_factory=list)  # mean number of active features
    dead: list[float] = field(default_factory=list)  # share


def train_dictionary(
    cfg: AutoencoderConfig, vectors: Tensor, training: DictionaryTraining | None = None
) -> tuple[SparseAutoencoderBase, History]:
    """Make an autoencoder and train it on vectors.

    Parameters
    ----------
    cfg : AutoencoderConfig
        The variant.
    vectors : Tensor, shape (n, n_channels)
        Training vectors only; scale and mean are theirs. Neighbours in time are nearly the same vector: take
        them apart with :func:`~neurolib.interpret.dictionaries.sampling.strided` first.
    training : DictionaryTraining, optional

    Returns
    -------
    autoencoder : SparseAutoencoderBase
        In evaluation mode, without gradients.
    history : History

    Raises
    ------
    ValueError
        If the vectors are no table, hold gaps, or all agree.
    FloatingPointError
        If the loss stops being finite.

    Examples
    --------
    >>> from neurolib.interpret.dictionaries.topk import TopKConfig
    >>> signs = torch.eye(2).repeat(50, 1) * torch.rand(100, 1)
    >>> sae, _ = train_dictionary(TopKConfig(n_features=4, k=1), signs, DictionaryTraining(steps=5))
    >>> sae.encode(signs).shape
    torch.Size([100, 4])
    """
    training = training or DictionaryTraining()
    if vectors.dim() != 2 or not len(vectors):
        raise ValueError(f"vectors {tuple(vectors.shape)} must be a table (n, channel) with some rows")
    draw = torch.Generator().manual_seed(training.seed)
    with torch.random.fork_rng():
        torch.manual_seed(training.seed)
        model = cfg.build(vectors.shape[1]).to(vectors)
    model.fit_scale(vectors, draw)
    model.train()
    with torch.enable_grad():
        history = _Run(model, vectors.detach() * model.scale, training, draw).go()
    return model.eval().requires_grad_(False), history


class _Run:
    """One call of :func:`train_dictionary`; vectors are scaled."""

    def __init__(self, model, vectors: Tensor, cfg: DictionaryTraining, draw: torch.Generator):
        self.model, self.vectors, self.cfg, self.draw = model, vectors, cfg, draw
        self.optimiser = torch.optim.Adam(
            model.parameters(), cfg.lr, betas=(cfg.beta1, 0.999), fused=vectors.device.type in ("cpu", "cuda")
        )
        self.idle = torch.zeros(model.n_features, device=vectors.device)  # vectors since a feature was active
        self.order, self.at = torch.empty(0, dtype=torch.long), 0

    def go(self) -> History:
        cfg, history = self.cfg, History()
        every = max(cfg.steps // 20, 1)
        for step in range(cfg.steps):
            batch = self.vectors[self._rows()]
            dead = self.idle >= cfg.dead_after
            result = self.model.objective(batch, dead, step / cfg.steps)
            self.optimiser.zero_grad(set_to_none=True)
            result.loss.backward()
            self.model.project_gradient()
            for group in self.optimiser.param_groups:
                group["lr"] = cfg.rate(step)
            self.optimiser.step()
            self.model.normalise()
            active = result.features.detach() > 0
            self.idle = torch.where(active.any(0), 0.0, self.idle + len(batch))
            falling = cfg.rate(step) < cfg.lr
            if cfg.resample_every and (step + 1) % cfg.resample_every == 0 and not falling:
                self.resample(self.idle >= min(cfg.dead_after, cfg.resample_every * cfg.batch_size))
            if step % every == 0 or step == cfg.steps - 1:
                self._note(history, step, result.loss.item(), active)
        return history

    def _rows(self) -> Tensor:
        """The next vectors of an order that is drawn anew when it is through."""
        n = min(self.cfg.batch_size, len(self.vectors))
        if self.at + n > len(self.order):
            self.order = torch.randperm(len(self.vectors), generator=self.draw).to(self.vectors.device)
            self.at = 0
        self.at += n
        return self.order[self.at - n : self.at]

    @torch.no_grad()
    def resample(self, dead: Tensor) -> None:
        """Point dead features at vectors that are explained badly, drawn in proportion to squared loss."""
        members = dead.nonzero().flatten()
        if not len(members):
            return
        model = self.model
        some = self.vectors[torch.randperm(len(self.vectors), generator=self.draw)[:8192]]
        rebuilt = model.activate(model.before(some)) @ model.W_dec + model.b_dec
        chance = (some - rebuilt).square().sum(1).square().cpu().double() + 1e-30
        chosen = torch.multinomial(chance, len(members), replacement=True, generator=self.draw)
        direction = some[chosen.to(some.device)] - model.b_dec
        direction = direction / direction.norm(dim=1, keepdim=True).clamp(min=1e-12)
        alive = model.W_enc[:, ~dead].norm(dim=0)
        size = 0.2 * (alive.mean() if len(alive) else 1.0)
        model.W_dec[members] = direction
        model.W_enc[:, members] = (size * direction).T
        model.b_enc[members] = 0.0
        for name, value in model.named_parameters():
            if name == "b_dec":
                continue
            state, at = self.optimiser.state[value], (slice(None), members) if name == "W_enc" else members
            state["exp_avg"][at] = 0.0
            state["exp_avg_sq"][at] = 0.0
        self.idle[members] = 0.0

    def _note(self, history: History, step: int, loss: float, active: Tensor) -> None:
        if not loss < float("inf"):
            raise FloatingPointError(f"loss {loss} at step {step}; lower the learning rate")
        history.step.append(step)
        history.loss.append(loss)
        history.l0.append(active.sum(1).float().mean().item())
        history.dead.append((self.idle >= self.cfg.dead_after).float().mean().item())
