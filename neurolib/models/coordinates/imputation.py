"""Missing metadata: features of a study ``(batch, feature)`` in, a distribution of every field out.

Numbers have a Gaussian head, classes a softmax. What was observed is handed on as it is, what was not
is drawn, and both carry a bit that says which and a measure of how unsure the draw was.
"""

from dataclasses import dataclass
from statistics import NormalDist

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from neurolib.models.decoder import moments


@dataclass(frozen=True)
class ImputationConfig:
    """Fields to fill in, and the heads that do it.

    Raises
    ------
    ValueError
        If a setting makes no sense.
    """

    continuous: tuple[str, ...] = ()
    categorical: tuple[tuple[str, int], ...] = ()  # name and number of classes
    hidden: int = 64
    least_observed: int = 500  # a field with fewer known values is refused
    temperature: float = 0.5  # of drawn classes in training (Gumbel-softmax)

    def __post_init__(self):
        names = [*self.continuous, *(name for name, _ in self.categorical)]
        if not names or len(set(names)) < len(names):
            raise ValueError(f"fields {names}: name at least one, and each once")
        for name, n_classes in self.categorical:
            if n_classes < 2:
                raise ValueError(
                    f"field {name!r} has {n_classes} classes; one that never varies needs no head"
                )
        if min(self.hidden, self.least_observed) < 1 or not self.temperature > 0:
            raise ValueError(
                f"hidden={self.hidden}, least_observed={self.least_observed}, "
                f"temperature={self.temperature}: all must be positive"
            )

    def build(self, n_features: int, values: ArrayLike = (), classes: ArrayLike = ()) -> "Imputer":
        """Make the heads; the training studies' metadata set the scales, and may be too scarce.

        Parameters
        ----------
        n_features : int
        values : array-like, shape (n_studies, n_continuous)
            NaN is missing.
        classes : array-like, shape (n_studies, n_categorical)
            -1 is missing.

        Raises
        ------
        ValueError
            If a field has too few known values, or a class that it should not have.
        """
        return Imputer(self, n_features, values, classes)


class Imputer(nn.Module):
    """Amortised imputation, trained on observed entries only.

    A field that nothing in the features tells apart gets its marginal distribution; that is the
    honest answer, and a wide one. Nothing here knows *why* an entry is missing.

    Parameters
    ----------
    cfg : ImputationConfig
    n_features : int
    values, classes : array-like
        See :meth:`ImputationConfig.build`.

    References
    ----------
    .. [1] Jang, Gu & Poole (2017), "Categorical reparameterization with Gumbel-softmax", ICLR.

    Examples
    --------
    >>> cfg = ImputationConfig(continuous=("year",), categorical=(("space", 3),), least_observed=2)
    >>> imputer = cfg.build(5, values=[[2000.0], [2010.0]], classes=[[0], [2]])
    >>> imputer.n_condition  # value, bit and sigma; three classes, bit and entropy
    8
    >>> filled = imputer.fill(torch.zeros(1, 5), torch.tensor([[2010.0]]), torch.tensor([[2]]))
    >>> filled.tolist()
    [[1.0, 1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0]]
    """

    def __init__(self, cfg: ImputationConfig, n_features: int, values: ArrayLike, classes: ArrayLike):
        super().__init__()
        self.cfg, self.sizes = cfg, [n for _, n in cfg.categorical]
        n_continuous = len(cfg.continuous)
        self.n_condition = 3 * n_continuous + sum(n + 2 for n in self.sizes)
        self.trunk = nn.Sequential(nn.Linear(n_features, cfg.hidden), nn.SiLU())
        self.widths = [n_continuous, n_continuous, *self.sizes]
        self.heads = nn.Linear(cfg.hidden, sum(self.widths))
        values = _columns(values, torch.float64, cfg.continuous)
        classes = _columns(classes, torch.long, cfg.categorical)
        offset, scale = torch.zeros(n_continuous), torch.ones(n_continuous)
        for i, name in enumerate(cfg.continuous):
            known = values[~values[:, i].isnan(), i]
            self._check(name, len(known), len(values))
            mean, sd = moments(known[:, None].numpy())
            offset[i], scale[i] = float(mean[0]), float(sd[0])
        for i, (name, n) in enumerate(cfg.categorical):
            self._check(name, int((classes[:, i] >= 0).sum()), len(classes))
            if classes[:, i].max() >= n:
                raise ValueError(f"field {name!r} holds class {classes[:, i].max()} of {n}; they start at 0")
        self.register_buffer("offset", offset)
        self.register_buffer("scale", scale)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Means and log variances ``(batch, n_continuous)`` in standard deviations, logits per class field."""
        mean, log_variance, *logits = self.heads(self.trunk(features)).split(self.widths, dim=1)
        return mean, log_variance.clamp(-7, 4), logits

    def loss(self, features: Tensor, values: Tensor, classes: Tensor | None = None) -> Tensor:
        """Negative log-likelihood per observed entry, nats; of continuous fields in standard deviations."""
        mean, log_variance, logits = self(features)
        total, n = features.new_zeros(()), 0
        if self.cfg.continuous:
            seen = ~values.isnan()
            # where() before the loss: a NaN that is masked after it still spoils the gradient
            target = torch.where(seen, self._standard(values), mean.detach()).to(mean.dtype)
            miss = nn.functional.gaussian_nll_loss(
                mean, target, log_variance.exp(), full=True, reduction="none", eps=1e-6
            )
            total, n = total + (miss * seen).sum(), n + seen.sum()
        for i, scores in enumerate(logits):
            miss = nn.functional.cross_entropy(scores, classes[:, i], ignore_index=-1, reduction="sum")
            total, n = total + miss, n + (classes[:, i] >= 0).sum()
        return total / max(int(n), 1)

    def fill(
        self, features: Tensor, values: Tensor, classes: Tensor | None = None, sample: bool = True
    ) -> Tensor:
        """A condition ``(batch, n_condition)`` without gaps, for FiLM.

        Per continuous field: the value in standard deviations, 1 if it was observed, and the standard
        deviation of the draw (0 if observed). Per class field: the classes (one-hot; soft while
        training), the bit, and the entropy of the draw as a share of its maximum. With ``sample``
        off, means and probabilities stand in for the draws.
        """
        mean, log_variance, logits = self(features)
        parts = []
        if self.cfg.continuous:
            seen, sd = ~values.isnan(), (log_variance / 2).exp()
            drawn = mean + sd * torch.randn_like(mean) if sample else mean
            parts = [
                torch.where(seen, self._standard(values).to(mean.dtype), drawn),
                seen.to(mean.dtype),
                torch.where(seen, 0.0, sd),
            ]
        for i, scores in enumerate(logits):
            seen, n = classes[:, i, None] >= 0, self.sizes[i]
            p = scores.softmax(dim=1)
            drawn = p
            if sample:
                drawn = nn.functional.gumbel_softmax(scores, self.cfg.temperature, hard=not self.training)
            known = nn.functional.one_hot(classes[:, i].clamp(min=0), n).to(p.dtype)
            entropy = torch.special.entr(p).sum(1, keepdim=True) / torch.tensor(float(n)).log()
            parts += [torch.where(seen, known, drawn), seen.to(p.dtype), torch.where(seen, 0.0, entropy)]
        return torch.cat(parts, dim=1)

    @torch.no_grad()
    def intervals(self, features: Tensor, level: float) -> tuple[Tensor, Tensor]:
        """Central intervals of the continuous fields, in their own units, each ``(batch, n_continuous)``."""
        if not 0 < level < 1:
            raise ValueError(f"level={level} must be a share between 0 and 1")
        mean, log_variance, _ = self(features)
        reach = NormalDist().inv_cdf((1 + level) / 2) * (log_variance / 2).exp()
        return tuple((mean + side * reach) * self.scale + self.offset for side in (-1, 1))

    def _standard(self, values: Tensor) -> Tensor:
        return (values - self.offset) / self.scale

    def _check(self, name: str, known: int, n: int) -> None:
        if known < self.cfg.least_observed:
            raise ValueError(
                f"field {name!r} is known for {known} of {n} studies, {self.cfg.least_observed} are needed; "
                "what so few values teach a head is made up for all others"
            )


def _columns(table: ArrayLike, dtype: torch.dtype, fields: tuple) -> Tensor:
    table = torch.as_tensor(table, dtype=dtype)
    if table.numel() and table.shape[1:] != (len(fields),):
        raise ValueError(f"metadata {tuple(table.shape)} for the fields {fields}; one column each is needed")
    return table.reshape(len(table), len(fields))
