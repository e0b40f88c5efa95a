r"""Hidden attention: a state-space mixer and its input ``(batch, time, d)`` in, what each step takes from each out.

A scan is linear in its inputs once the steps and the read and write vectors are known:

.. math:: y_i = \sum_{j \le i} M_{ij} x_j, \qquad
          M_{ij} = C_i^\top \Big(\prod_{k=j+1}^{i} e^{\Delta_k A}\Big) \bar B_j + D\,[i = j]

so that :math:`M` is to a scan what the weights are to attention, except that its entries may be negative, its rows do
not add up to one, and the gate and projection that follow are left out.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from neurolib.interpret.activations import Run, call, record
from neurolib.interpret.attribution.tree import Inputs
from neurolib.models.multimodal.mixers import S6Mixer, SSDMixer
from neurolib.models.sites import Site

Mixer = SSDMixer | S6Mixer


class HiddenAttention(NamedTuple):
    """The scan of a mixer as a matrix.

    Parameters
    ----------
    matrix : Tensor, shape (B, H, L, L)
        Row ``i`` weighs steps ``j``; H heads of an SSD mixer, channels of an S6 mixer.
    values : Tensor, shape (B, H, L, P)
        The convolved inputs that it weighs.
    output : Tensor, shape (B, L, d)
        What the mixer gives, computed with the matrix.
    """

    matrix: Tensor
    values: Tensor
    output: Tensor

    @property
    def size(self) -> Tensor:
        r""":math:`|M|`, mean over heads, rows adding up to one, ``(B, L, L)``."""
        size = self.matrix.abs().mean(1)
        return size / size.sum(-1, keepdim=True).clamp(min=torch.finfo(size.dtype).tiny)


@torch.no_grad()
def hidden_attention(mixer: Mixer, x: Tensor, skip: bool = True) -> HiddenAttention:
    """The matrix of a mixer at an input.

    Parameters
    ----------
    mixer : SSDMixer or S6Mixer
    x : Tensor, shape (B, L, d)
        What the mixer gets, after the norm before it.
    skip : bool
        With the skip ``D`` on the diagonal, without which the matrix does not make the output.

    Returns
    -------
    HiddenAttention

    References
    ----------
    .. [1] Ali, Zimerman & Wolf (2025), "The hidden attention of Mamba models", ACL, arXiv:2403.01590.

    Examples
    --------
    >>> from neurolib.models.multimodal.mixers import SSDMixerConfig
    >>> mixer = SSDMixerConfig(head=4, n_state=4).build(8)
    >>> x = torch.randn(2, 5, 8)
    >>> made = hidden_attention(mixer, x)
    >>> made.matrix.shape, bool(torch.allclose(made.output, mixer(x)[0], atol=1e-5))
    (torch.Size([2, 4, 5, 5]), True)
    """
    if x.dim() != 3:
        raise ValueError(f"x {tuple(x.shape)} must be (batch, time, d), as the mixer gets it")
    past = mixer.init_state(len(x))[0]
    if isinstance(mixer, SSDMixer):
        gate, values, *_ = mixer._select(x, past)
        matrix, values = mixer.attention_map(x), values.transpose(1, 2)  # (B, H, L, P)
    elif isinstance(mixer, S6Mixer):
        new, gate = mixer.enter(x).chunk(2, dim=-1)
        wide, _ = mixer.conv(new, past)
        matrix, values = _s6_matrix(mixer, wide), wide.mT[..., None]
    else:
        raise ValueError(f"{type(mixer).__name__} is no state-space mixer; SSDMixer and S6Mixer are")
    straight = mixer.skip.view(-1, 1, 1) * torch.eye(x.shape[1], device=x.device)
    whole = matrix + straight
    y = (whole @ values).transpose(1, 2).flatten(2) * F.silu(gate)
    y = mixer.norm(y) if isinstance(mixer, SSDMixer) else y
    return HiddenAttention(whole if skip else matrix, values, mixer.leave(y))


def hidden_attentions(
    model: nn.Module, inputs: Inputs, run: Run = call, skip: bool = True
) -> dict[str, HiddenAttention]:
    """The matrices of all mixers of a model at what they get in a run, by path.

    Slots that are scanned one by one are rows of their own: row ``b * slots + k`` is slot ``k`` of window ``b``.
    """
    paths = [path for path, module in model.named_modules() if isinstance(module, Mixer)]
    if not paths:
        raise ValueError(f"{type(model).__name__} has no state-space mixer")
    sites = [Site(path, side="input", axes=("batch", "time", "channel")) for path in paths]
    acts = record(model, inputs, sites, run=run)
    return {path: hidden_attention(model.get_submodule(path), acts[path], skip) for path in paths}


def _s6_matrix(mixer: S6Mixer, wide: Tensor) -> Tensor:
    """``(B, e, L, L)`` of convolved inputs ``(B, L, e)``, without the skip."""
    dt, b, c = mixer._select(wide)
    rate, total = -mixer.log_rate.exp(), dt.cumsum(1)  # (e, N), (B, L, e)
    zoh = mixer.cfg.discretisation == "zoh"
    written = torch.expm1(dt[..., None] * rate) / rate if zoh else dt[..., None]
    written = written * b[:, :, None]  # (B, L, e, N)
    out = []
    for i in range(wide.shape[1]):  # a row at a time: all at once would be (B, L, L, e, N)
        decay = torch.exp((total[:, i, None] - total[:, : i + 1])[..., None] * rate)
        row = torch.einsum("bjen,bjen,bn->bej", decay, written[:, : i + 1], c[:, i])
        out.append(F.pad(row, (0, wide.shape[1] - i - 1)))
    return torch.stack(out, 2)
