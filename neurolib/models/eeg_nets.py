"""Two small convolutional networks for EEG: epochs ``(batch, time, channel)`` in, scores ``(batch, class)`` out.

They are what larger models of EEG must beat: a shallow network that is a learned band power [1]_, and a
compact one of separable convolutions [2]_. Lengths are in seconds, so that any sampling rate will do.

Four things differ from the papers. (1) Normalisation is by GroupNorm with one group, not BatchNorm, whose
running moments of few trials per person are noise, and whose output depends on who else is in the batch. One
group leaves ratios of power between filters, which is what tells classes apart; a group per filter would take the
power itself away. (2) There is none between the temporal and the spatial convolution of the compact network: the
second absorbs any scale of the first. (3) So the two are one linear map, and are computed as one convolution,
which is the same function several times faster. (4) Channels are whitened first: EEG channels are so alike that
from a few dozen trials the spatial filters are not learned otherwise.

References
----------
.. [1] Schirrmeister et al. (2017), "Deep learning with convolutional neural networks for EEG decoding and
   visualization", Hum. Brain Mapp. 38, 5391-5420.
.. [2] Lawhern et al. (2018), "EEGNet: a compact convolutional neural network for EEG-based brain-computer
   interfaces", J. Neural Eng. 15, 056013.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class ShallowConvNetConfig:
    """Temporal and spatial filters, square, mean, log, and a linear read-out of all times.

    Examples
    --------
    >>> net = ShallowConvNetConfig().build(n_channels=22, n_samples=1125, rate_hz=250.0, n_classes=4)
    >>> sum(p.numel() for p in net.parameters())  # 26 · 40 + 40 · 40 · 22 + 80 + (40 · 69 + 1) · 4
    47364
    """

    n_filters: int = 40
    kernel_s: float = 0.1
    pool_s: float = 0.3
    stride_s: float = 0.06
    dropout: float = 0.5

    def __post_init__(self):
        _check(self, ("kernel_s", "pool_s", "stride_s", "n_filters"))

    def build(self, n_channels: int, n_samples: int, rate_hz: float, n_classes: int) -> "ShallowConvNet":
        """Make the network, with random weights."""
        return ShallowConvNet(self, n_channels, n_samples, rate_hz, n_classes)


@dataclass(frozen=True)
class EegNetConfig:
    """Temporal filters, a few spatial ones for each, then a separable convolution: EEGNet-8,2 by default.

    Examples
    --------
    >>> net = EegNetConfig().build(n_channels=64, n_samples=128, rate_hz=128.0, n_classes=2)
    >>> sum(p.numel() for p in net.parameters())  # 8 · 64 + 16 · 64 + 32 + 16 · 16 + 16 · 16 + 32 + 65 · 2
    2242
    """

    n_temporal: int = 8
    n_spatial: int = 2  # for each temporal filter
    n_pointwise: int = 16
    kernel_s: float = 0.5
    pool_s: float = 1 / 32
    separable_s: float = 0.5
    second_pool_s: float = 0.25
    dropout: float = 0.5  # the paper takes 0.25 across persons
    spatial_norm: float = 1.0  # largest norm of a spatial filter
    readout_norm: float = 0.25

    def __post_init__(self):
        _check(self, ("kernel_s", "pool_s", "separable_s", "second_pool_s", "spatial_norm", "readout_norm"))
        _check(self, ("n_temporal", "n_spatial", "n_pointwise"))

    def build(self, n_channels: int, n_samples: int, rate_hz: float, n_classes: int) -> "EegNet":
        """Make the network, with random weights."""
        return EegNet(self, n_channels, n_samples, rate_hz, n_classes)


class EpochClassifier(nn.Module):
    """What the two share: epochs are whitened inside, by the covariance of the training epochs."""

    def __init__(self, n_channels: int, n_samples: int):
        super().__init__()
        self.n_samples = n_samples
        self.register_buffer("mean", torch.zeros(n_channels))
        self.register_buffer("whitener", torch.eye(n_channels))

    def standardise(self, epochs: ArrayLike, shrinkage: float = 0.05) -> None:
        """Whiten by the channels' covariance over the training epochs ``(n_trials, n_samples, n_channels)``.

        The symmetric root is taken, so that channel ``i`` stays mostly channel ``i``.

        Parameters
        ----------
        epochs : array_like
        shrinkage : float
            How far the covariance is pulled towards a multiple of the identity; 1 scales all channels alike.
        """
        rows = torch.as_tensor(epochs, dtype=torch.float64).flatten(0, 1)
        if rows.shape[1] != len(self.mean):
            raise ValueError(f"epochs of {rows.shape[1]} channels for a network of {len(self.mean)}")
        value, vector = torch.linalg.eigh(rows.T.cov(correction=0).reshape(len(self.mean), -1))
        value = (1 - shrinkage) * value + shrinkage * value.mean()
        self.mean.copy_(rows.mean(0))
        self.whitener.copy_(vector * value.clamp(min=1e-12 * value[-1]).rsqrt() @ vector.T)

    def loss(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Mean cross-entropy of ``epochs (B, T, C)`` and ``label (B,)``."""
        return F.cross_entropy(self(batch["epochs"]), batch["label"])

    def predict(self, epochs: ArrayLike) -> Tensor:
        """Class of each epoch, ``(n_trials,)``, without dropout."""
        self.eval()
        with torch.no_grad():
            return self(torch.as_tensor(epochs, dtype=self.mean.dtype, device=self.mean.device)).argmax(1)

    def _channels_first(self, epochs: Tensor) -> Tensor:
        """Whitened, ``(B, C, T)``."""
        if epochs.dim() != 3 or epochs.shape[1:] != (self.n_samples, len(self.mean)):
            raise ValueError(
                f"epochs {tuple(epochs.shape)}; this network reads (batch, {self.n_samples}, {len(self.mean)}): "
                "time, then channels. Another window or montage?"
            )
        return ((epochs - self.mean) @ self.whitener).transpose(1, 2)


class ShallowConvNet(EpochClassifier):
    """The network of :class:`ShallowConvNetConfig`."""

    def __init__(
        self, cfg: ShallowConvNetConfig, n_channels: int, n_samples: int, rate_hz: float, n_classes: int
    ):
        super().__init__(n_channels, n_samples)
        self.cfg, n = cfg, cfg.n_filters
        kernel = max(1, round(cfg.kernel_s * rate_hz))
        self.pool, self.stride = (max(1, round(s * rate_hz)) for s in (cfg.pool_s, cfg.stride_s))
        steps = (n_samples - kernel + 1 - self.pool) // self.stride + 1
        if steps < 1:
            raise ValueError(
                f"{n_samples} samples at {rate_hz:g} Hz are too few for a kernel of {cfg.kernel_s} s and a mean over {cfg.pool_s} s"
            )
        self.temporal = nn.Conv1d(1, n, kernel)
        self.spatial = nn.Linear(n * n_channels, n, bias=False)  # weight (filter, temporal filter x channel)
        self.norm = nn.GroupNorm(1, n)
        self.drop = nn.Dropout(cfg.dropout)
        self.readout = nn.Linear(n * steps, n_classes)

    def forward(self, epochs: Tensor) -> Tensor:
        """Scores ``(B, n_classes)`` of epochs ``(B, n_samples, n_channels)``."""
        x = self._channels_first(epochs)
        spatial = self.spatial.weight.view(len(self.spatial.weight), len(self.temporal.weight), -1)
        kernel = torch.einsum("ofc,fk->ock", spatial, self.temporal.weight[:, 0])
        x = F.conv1d(x, kernel, torch.einsum("ofc,f->o", spatial, self.temporal.bias))
        power = F.avg_pool1d(self.norm(x).square(), self.pool, self.stride)
        return self.readout(self.drop(power.clamp(min=1e-6).log()).flatten(1))


class EegNet(EpochClassifier):
    """The network of :class:`EegNetConfig`."""

    def __init__(self, cfg: EegNetConfig, n_channels: int, n_samples: int, rate_hz: float, n_classes: int):
        super().__init__(n_channels, n_samples)
        self.cfg, n = cfg, cfg.n_temporal * cfg.n_spatial
        self.pool = max(1, round(cfg.pool_s * rate_hz))
        self.second_pool = max(1, round(cfg.second_pool_s * rate_hz / self.pool))
        steps = n_samples // self.pool // self.second_pool
        if steps < 1:
            raise ValueError(
                f"{n_samples} samples at {rate_hz:g} Hz are fewer than one step of {cfg.second_pool_s} s"
            )
        self.temporal = nn.Conv1d(1, cfg.n_temporal, max(1, round(cfg.kernel_s * rate_hz)), bias=False)
        self.spatial = nn.Parameter(nn.init.xavier_uniform_(torch.empty(n, n_channels)))
        self.norm = nn.GroupNorm(1, n)
        width = max(1, round(cfg.separable_s * rate_hz / self.pool))
        self.depthwise = nn.Conv1d(n, n, width, groups=n, bias=False)
        self.pointwise = nn.Conv1d(n, cfg.n_pointwise, 1, bias=False)
        self.second_norm = nn.GroupNorm(1, cfg.n_pointwise)
        self.drop = nn.Dropout(cfg.dropout)
        self.readout = nn.Linear(cfg.n_pointwise * steps, n_classes)

    def forward(self, epochs: Tensor) -> Tensor:
        """Scores ``(B, n_classes)`` of epochs ``(B, n_samples, n_channels)``."""
        x = self._channels_first(epochs)
        spatial = torch.renorm(self.spatial, 2, 0, self.cfg.spatial_norm)
        temporal = self.temporal.weight[:, 0].repeat_interleave(self.cfg.n_spatial, dim=0)
        kernel = spatial[:, :, None] * temporal[:, None]
        x = F.conv1d(_padded(x, kernel.shape[2]), kernel)
        x = self.drop(F.avg_pool1d(F.elu(self.norm(x)), self.pool))
        x = F.elu(self.second_norm(self.pointwise(self.depthwise(_padded(x, self.depthwise.kernel_size[0])))))
        x = self.drop(F.avg_pool1d(x, self.second_pool)).flatten(1)
        return F.linear(x, torch.renorm(self.readout.weight, 2, 0, self.cfg.readout_norm), self.readout.bias)


def _padded(x: Tensor, width: int) -> Tensor:
    """Zeros at both ends, so that a convolution of that width keeps the length."""
    return F.pad(x, ((width - 1) // 2, width // 2))


def _check(cfg, names: tuple[str, ...]) -> None:
    for name in names:
        if not getattr(cfg, name) > 0:
            raise ValueError(f"{name}={getattr(cfg, name)} must be positive")
