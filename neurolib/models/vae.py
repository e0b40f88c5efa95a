"""Sequence VAE: counts ``(batch, time, unit)`` in, a few latents per bin, any target out.

An encoder with memory (Hebbian attention or one of its controls) gives mean and variance of the
latents of a bin; a small decoder reads the latents of the last bins. Causal, and streaming.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from neurolib.data.trials import Trials
from neurolib.models.decoder import check_bins, check_counts, check_units, moments
from neurolib.models.sites import Site, inside, sites_of

State = tuple[tuple[Tensor, ...], Tensor]  # of the encoder, and the latents of the last bins
Batch = dict[str, Tensor]


class EncoderConfig(Protocol):
    """Settings that know how to make an encoder."""

    def build(self, n_units: int, n_outputs: int, bin_size_s: float) -> nn.Module:
        """A causal module, ``(counts, state) -> (outputs, state)``."""


@dataclass(frozen=True)
class VAEConfig:
    """Settings of a :class:`SequenceVAE`.

    The published demonstration has two latents, a Bernoulli likelihood and latents drawn in use.

    Raises
    ------
    ValueError
        If a setting makes no sense.
    """

    encoder: EncoderConfig
    n_latents: int = 3
    past_bins: int = 10  # latents the decoder sees, the newest included (tau_p)
    future_bins: int = 1  # bins it predicts, the present one first (tau_f)
    likelihood: str = "gaussian"  # "bernoulli" (behaviour scaled to 0..1), "poisson" or "categorical"
    n_classes: int = 0  # of a categorical target
    hidden: int = 0  # width of the decoder; 0 is the mean of its inputs and outputs
    beta: float = 1e-3  # weight of the latents' divergence from N(0, 1)
    sample: bool = False  # draw latents in use as well; the published scores did

    def __post_init__(self):
        if self.likelihood not in LIKELIHOODS:
            raise ValueError(f"likelihood={self.likelihood!r} must be one of {LIKELIHOODS}")
        for name in ("n_latents", "past_bins", "future_bins"):
            if getattr(self, name) < 1:
                raise ValueError(
                    f"{name}={getattr(self, name)} must be at least 1; 1 is the present bin alone"
                )
        if (self.likelihood == "categorical") != (self.n_classes > 1):
            raise ValueError(
                f"n_classes={self.n_classes} with likelihood={self.likelihood!r}; "
                "give two classes or more to a categorical target and none to others"
            )


LIKELIHOODS = ("gaussian", "bernoulli", "poisson", "categorical")


class SequenceVAE(nn.Module):
    """An encoder with memory, a stochastic latent space of few dimensions, and a decoder.

    The target is whatever the trials hold as behaviour: hand position, velocity or force
    (``gaussian``, ``bernoulli``), the class of the reach (``categorical``, one column of class numbers),
    or spikes per bin (``poisson``) of the same units (unsupervised) or of hidden ones (co-smoothing).

    Parameters
    ----------
    cfg : VAEConfig
    n_units : int or dict of str to int
        Units of the recording, or of each recording; every recording has its own
        encoder, all share the decoder.
    n_outputs : int
    bin_size_s : float

    See Also
    --------
    for_trials : make one that fits a recording.

    References
    ----------
    .. [1] Skatchkovsky et al. (2024), bioRxiv 2024.08.13.607787.
    .. [2] Kingma & Welling (2014), "Auto-encoding variational Bayes", ICLR.

    Examples
    --------
    >>> from neurolib.models.hebbian.encoder import HebbianConfig
    >>> model = SequenceVAE(VAEConfig(HebbianConfig(d=8)), n_units=5, n_outputs=2, bin_size_s=0.01)
    >>> model(torch.zeros(3, 12, 5)).shape
    torch.Size([3, 12, 2])
    """

    def __init__(self, cfg: VAEConfig, n_units: int | dict[str, int], n_outputs: int, bin_size_s: float):
        super().__init__()
        self.n_units = n_units if isinstance(n_units, dict) else {"session": n_units}
        if not self.n_units or min(self.n_units.values()) < 1:
            raise ValueError(f"n_units={n_units}: a recording without units; were all of them dropped?")
        self.cfg, self.n_outputs, self.bin_size_s = cfg, n_outputs, bin_size_s
        self.encoders = nn.ModuleDict(
            {name: cfg.encoder.build(n, 2 * cfg.n_latents, bin_size_s) for name, n in self.n_units.items()}
        )
        seen = cfg.n_latents * cfg.past_bins
        width = (cfg.n_classes or n_outputs) * cfg.future_bins
        hidden = cfg.hidden or (seen + width) // 2
        self.decoder = nn.Sequential(nn.Linear(seen, hidden), nn.ReLU(), nn.Linear(hidden, width))
        for name, start in (("mean", 0.0), ("scale", 1.0)):
            self.register_buffer(f"output_{name}", torch.full((n_outputs,), start))

    @classmethod
    def for_trials(cls, trials: Trials | dict[str, Trials], cfg: VAEConfig) -> "SequenceVAE":
        """Make a model for training trials, its scales taken from them and from nothing else.

        Parameters
        ----------
        trials : Trials, or dict of Trials by recording
            Of one bin width and with the same outputs.

        Raises
        ------
        ValueError
            If the trials do not suit the model; the message says which and why.
        """
        by_name = trials if isinstance(trials, dict) else {"session": trials}
        first = next(iter(by_name.values()))
        for part in by_name.values():
            _check_training(part, cfg)
            if (part.outputs, part.bin_size_s) != (first.outputs, first.bin_size_s):
                raise ValueError(
                    f"{part.name} has outputs {part.outputs} in bins of {part.bin_size_s} s, {first.name} "
                    f"{first.outputs} in {first.bin_size_s} s; recordings that share a decoder need the same"
                )
        units = {name: part.n_units for name, part in by_name.items()}
        model = cls(cfg, units, first.behaviour.shape[1], first.bin_size_s)
        for name, part in by_name.items():
            if hasattr(model.encoders[name], "standardise"):
                model.encoders[name].standardise(part.counts)
        behaviour = np.concatenate([part.behaviour for part in by_name.values()])
        if cfg.likelihood == "gaussian":
            offset, scale = moments(behaviour)
        elif cfg.likelihood == "bernoulli":
            offset, scale = behaviour.min(axis=0), np.ptp(behaviour, axis=0)
            scale = np.where(scale > 0, scale, 1.0)
        else:
            return model
        model.output_mean.copy_(torch.as_tensor(offset))
        model.output_scale.copy_(torch.as_tensor(scale))
        return model

    def sites(self) -> tuple[Site, ...]:
        """Those of the encoders, the posterior (means, then log variances), and the window of means decoded.

        With several recordings names of encoders and posteriors begin with theirs.
        """
        at, found = ("batch", "time", "channel"), []
        for name, encoder in self.encoders.items():
            before = f"{name}." if len(self.encoders) > 1 else ""
            found += inside(f"encoders.{name}", sites_of(encoder).values(), f"{before}encoder.")
            found.append(Site(f"{before}posterior", f"encoders.{name}", at, pick=0))
        return *found, Site("window", "decoder", at, side="input"), Site("features", "decoder.1", at)

    def encode(self, counts: Tensor, state: tuple[Tensor, ...] | None = None, session: str = ""):
        """Mean and log-variance of the latents ``(B, T, n_latents)``, and the encoder's state."""
        both, state = self.encoders[session or next(iter(self.n_units))](counts, state)
        both = both if both.dtype == torch.float64 else both.float()  # half precision is too coarse here
        mean, log_variance = both.chunk(2, dim=-1)
        return mean, log_variance.clamp(-10, 10), state

    def forward(self, counts: Tensor, session: str = "") -> Tensor:
        """Predict the present bin, ``(B, T, n_units)`` to ``(B, T, n_outputs)``, in the target's unit.

        A Poisson target comes out as expected spikes per bin, a categorical one as probabilities
        ``(B, T, n_classes)``.
        """
        return self.forecast(counts, session)[:, :, 0]

    def forecast(self, counts: Tensor, session: str = "") -> Tensor:
        """Predict the present and the following bins, ``(B, T, future_bins, n_outputs)``."""
        mean, log_variance, _ = self.encode(counts, session=session)
        return self._physical(self._decode(self._window(self._draw(mean, log_variance))))

    def loss(self, batch: Batch) -> Tensor:
        """Negative log-likelihood of the target plus ``beta`` times the latents' divergence, per bin.

        Parameters
        ----------
        batch : dict
            ``counts (B, T, n_units)``, ``behaviour (B, T, n_outputs)``, ``mask (B, T)``; with several
            recordings also ``session (B,)``, their number, and counts padded to the most units.
        """
        total = 0.0
        for name, rows in self._by_session(batch):
            counts = batch["counts"][rows][..., : self.n_units[name]]
            mean, log_variance, _ = self.encode(counts, session=name)
            raw = self._decode(self._window(self._draw(mean, log_variance)))  # (B, T, future, output)
            miss = self._miss(raw, self._ahead(batch["behaviour"][rows]))  # (B, T, future)
            there = self._ahead(batch["mask"][rows][..., None]).squeeze(-1).to(miss)
            divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean(-1)
            here = batch["mask"][rows].to(divergence)
            total = total + (miss * there).sum() / self.cfg.future_bins
            total = total + self.cfg.beta * (divergence * here).sum()
        return total / self.weight(batch)

    def weight(self, batch: Batch) -> Tensor:
        """Bins behind the mean of :meth:`loss`."""
        return batch["mask"].sum()

    @torch.no_grad()
    def predict(self, trials: Trials, session: str = "") -> NDArray:
        """Decode every bin, shape ``(n_bins, n_outputs)`` or ``(n_bins, n_classes)``."""
        return self._on(trials, lambda counts: self(counts, session), session)

    @torch.no_grad()
    def embed(self, trials: Trials, session: str = "") -> NDArray:
        """Posterior mean of the latents in every bin, shape ``(n_bins, n_latents)``."""
        return self._on(trials, lambda counts: self.encode(counts, session=session)[0], session)

    def step(self, counts: Tensor, state: State | None = None, session: str = "") -> tuple[Tensor, State]:
        """One bin: counts ``(B, n_units)`` in, prediction of the same bin and the new state out."""
        memory, past = state or (
            None,
            counts.new_zeros(len(counts), self.cfg.past_bins - 1, self.cfg.n_latents),
        )
        mean, log_variance, memory = self.encode(counts[:, None], memory, session)
        past = torch.cat([past, self._draw(mean, log_variance)], dim=1)
        raw = self._decode(past.transpose(1, 2).flatten(1)[:, None])
        return self._physical(raw)[:, 0, 0], (memory, past[:, 1:])

    def stream(self, session: str = "") -> "VAEStream":
        """Decode bin by bin."""
        return VAEStream(self, session)

    def _by_session(self, batch: Batch):
        if "session" not in batch:
            yield next(iter(self.n_units)), slice(None)
            return
        for number, name in enumerate(self.n_units):
            rows = batch["session"] == number
            if rows.any():
                yield name, rows

    def _draw(self, mean: Tensor, log_variance: Tensor) -> Tensor:
        if not (self.training or self.cfg.sample):
            return mean
        return mean + torch.randn_like(mean) * (log_variance / 2).exp()

    def _window(self, latents: Tensor) -> Tensor:
        """Latents of the last bins side by side, ``(B, T, n_latents * past_bins)``; zeros before the start."""
        padded = nn.functional.pad(latents, (0, 0, self.cfg.past_bins - 1, 0))
        return padded.unfold(1, self.cfg.past_bins, 1).flatten(2)

    def _ahead(self, values: Tensor) -> Tensor:
        """Each bin and the ones after it, ``(B, T, future_bins, channel)``; zeros behind the end."""
        padded = nn.functional.pad(values, (0, 0, 0, self.cfg.future_bins - 1))
        return padded.unfold(1, self.cfg.future_bins, 1).transpose(2, 3)

    def _decode(self, window: Tensor) -> Tensor:
        return self.decoder(window).unflatten(-1, (self.cfg.future_bins, -1))

    def _physical(self, raw: Tensor) -> Tensor:
        if self.cfg.likelihood == "poisson":
            return raw.exp()
        if self.cfg.likelihood == "categorical":
            return raw.softmax(dim=-1)
        if self.cfg.likelihood == "bernoulli":
            raw = raw.sigmoid()
        return raw * self.output_scale + self.output_mean

    def _miss(self, raw: Tensor, target: Tensor) -> Tensor:
        """What a bin's prediction misses, for each step ahead; a mean over outputs.

        Negative log-likelihoods up to constants, and the squared error in standard deviations for
        ``gaussian``.
        """
        functional = nn.functional
        if self.cfg.likelihood == "categorical":
            return functional.cross_entropy(raw.movedim(-1, 1), target[..., 0].long(), reduction="none")
        if self.cfg.likelihood == "poisson":
            return functional.poisson_nll_loss(raw, target, reduction="none").mean(-1)
        target = (target - self.output_mean) / self.output_scale
        if self.cfg.likelihood == "bernoulli":
            return functional.binary_cross_entropy_with_logits(raw, target, reduction="none").mean(-1)
        return (raw - target).square().mean(-1)

    def _on(self, trials: Trials, run, session: str) -> NDArray:
        session = session or next(iter(self.n_units))
        if session not in self.n_units:
            raise ValueError(f"no recording {session!r} in this model; it has {sorted(self.n_units)}")
        check_units(trials, self.n_units[session])
        check_bins(trials, self.bin_size_s)
        self.eval()
        padded, like = trials.padded(), self.decoder[0].weight
        blocks = [run(block.to(like)).cpu().numpy() for block in torch.from_numpy(padded.counts).split(64)]
        return np.concatenate(blocks)[padded.mask].astype(float)


class VAEStream:
    """A :class:`SequenceVAE` in use."""

    def __init__(self, model: SequenceVAE, session: str = ""):
        self.model, self.session = model.eval(), session
        self.reset()

    def reset(self) -> None:
        """Start a trial: no spikes yet, no latents."""
        self.state: State | None = None

    @torch.no_grad()
    def step(self, counts: ArrayLike) -> NDArray:
        """Take counts ``(n_units,)``, return the prediction of this bin ``(n_outputs,)``.

        Raises
        ------
        ValueError
            If these are not counts of the population: a bad bin must not spoil the ones after it.
        """
        n_units = self.model.n_units[self.session or next(iter(self.model.n_units))]
        like = self.model.decoder[0].weight
        counts = torch.as_tensor(check_counts(counts, n_units, np.float32)).to(like)[None]
        output, self.state = self.model.step(counts, self.state, self.session)
        return output[0].cpu().numpy().astype(float)


def _check_training(trials: Trials, cfg: VAEConfig) -> None:
    """Refuse trials that such a model cannot be trained on."""
    where = f"{trials.name}: "
    if trials.n_units == 0:
        raise ValueError(f"{where}no units; were all of them dropped?")
    rule = getattr(cfg.encoder, "rule", "")
    if rule and rule != "calcium" and (trials.counts % 1 != 0).any():
        raise ValueError(
            f"{where}counts hold {trials.counts[trials.counts % 1 != 0][0]:g}; the rule {rule!r} takes whole "
            "spikes per bin. Were they smoothed? For calcium signals there is rule='calcium'"
        )
    need = max(cfg.past_bins, cfg.future_bins)
    if trials.lengths.min() < need:
        short = int(np.argmin(trials.lengths))
        raise ValueError(
            f"{where}trial {short} has {trials.lengths[short]} bins, the model looks at {need}; "
            f"drop it with trials.select(trials.lengths >= {need})"
        )
    silent = ~np.logical_or.reduceat(trials.counts.any(axis=1), trials.starts)
    if silent.any():
        raise ValueError(
            f"{where}trial {int(np.argmax(silent))} has no spike of any unit; a gap in the recording?"
        )
    for key in ("start_s", "start_bin"):
        if key in trials.info and (np.diff(trials.info[key]) < 0).any():
            raise ValueError(
                f"{where}trials are not in order of time (info[{key!r}] goes back); "
                f"sort them with trials.select(np.argsort(trials.info[{key!r}]))"
            )
    if cfg.likelihood in ("poisson", "categorical") and (trials.behaviour < 0).any():
        raise ValueError(
            f"{where}a {cfg.likelihood} target of {trials.behaviour.min():g}; counts and classes start at 0"
        )
    if cfg.likelihood == "categorical" and trials.behaviour.max() >= cfg.n_classes:
        raise ValueError(
            f"{where}class {trials.behaviour.max():g} of {cfg.n_classes}; they are numbered from 0"
        )
