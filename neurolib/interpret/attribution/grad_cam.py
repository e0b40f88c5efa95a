r"""Grad-CAM: a model and a site with feature maps ``(batch, time, ..., feature)`` in, a map of where it looks out.

.. math:: \alpha_k = \operatorname{mean}_t \frac{\partial y}{\partial A_k(t)}, \qquad
          m(t) = \operatorname{ReLU}\Big(\sum_k \alpha_k A_k(t)\Big)

The signed variant leaves the ReLU out: for a velocity, what speaks against is as good as what speaks for.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from neurolib.interpret.activations import record
from neurolib.interpret.attribution.integrated_gradients import Score
from neurolib.interpret.attribution.maps import Attribution
from neurolib.interpret.attribution.tree import Inputs, scores
from neurolib.models.sites import Site


def grad_cam(
    model: nn.Module,
    inputs: Inputs,
    site: str | Site,
    score: Score,
    signed: bool = False,
    feature: int = -1,
) -> Attribution:
    """Where in its feature maps a model finds what raises the score.

    Parameters
    ----------
    model : nn.Module
        Run by ``score``.
    inputs : Inputs
    site : str or Site
        Whose value has the batch first, such as the filters of a tokenizer, ``(B, S, C, d)``.
    score : callable
        ``score(inputs)``, ``(B,)``, of this model.
    signed : bool
        Leave the ReLU out.
    feature : int
        Axis of the features; means of gradients are over all others but the batch.

    Returns
    -------
    Attribution
        One entry, named after the site, without the axis of features.

    References
    ----------
    .. [1] Selvaraju et al. (2017), "Grad-CAM: visual explanations from deep networks via gradient-based
       localization", ICCV, arXiv:1610.02391.

    Examples
    --------
    >>> model = nn.Sequential(nn.Identity(), nn.Flatten())
    >>> made = grad_cam(model, torch.tensor([[[1.0], [-2.0]]]), "0", lambda x: 3 * model(x).sum(1), signed=True)
    >>> made.values["0"].tolist()
    [[3.0, -6.0]]
    """
    acts = record(model, inputs, [site], gradients=True, run=lambda _, given: score(given))
    name, value = next(iter(acts.values.items()))
    said = scores(lambda _: acts.output, inputs, len(acts.output))
    (slope,) = torch.autograd.grad(said.sum(), [value], allow_unused=True)
    slope = torch.zeros_like(value) if slope is None else slope
    feature = feature % value.dim()
    others = [k for k in range(1, value.dim()) if k != feature]
    if feature == 0 or not others:
        raise ValueError(f"site {name!r} {tuple(value.shape)} has no axis besides the batch and the features")
    weight = slope.mean(others, keepdim=True)
    made = (weight * value.detach()).sum(feature)
    made = made if signed else made.relu()
    axes = tuple(axis for k, axis in enumerate(acts.axes[name]) if k != feature)
    method = "signed Grad-CAM" if signed else "Grad-CAM"
    return Attribution({name: made}, {name: axes}, method=method)


def upsampled(values: Tensor, n_samples: int, mode: str = "linear") -> Tensor:
    """A map per token as one per sample, along the second axis: ``(B, S, ...)`` to ``(B, n_samples, ...)``.

    Parameters
    ----------
    values : Tensor
    n_samples : int
        What the tokens cover evenly.
    mode : {"linear", "nearest"}
        Between the middles of tokens, or constant over each.

    Examples
    --------
    >>> upsampled(torch.tensor([[1.0, 3.0]]), 4, "nearest").tolist(), upsampled(torch.tensor([[1.0, 3.0]]), 4).tolist()
    ([[1.0, 1.0, 3.0, 3.0]], [[1.0, 1.5, 2.5, 3.0]])
    """
    if mode not in ("linear", "nearest"):
        raise ValueError(f"mode={mode!r} must be 'linear' or 'nearest'")
    flat = values.flatten(2) if values.dim() > 2 else values[..., None]  # (B, S, m)
    settings = {"align_corners": False} if mode == "linear" else {}
    longer = F.interpolate(flat.transpose(1, 2), size=n_samples, mode=mode, **settings).transpose(1, 2)
    return longer.reshape(len(values), n_samples, *values.shape[2:])
