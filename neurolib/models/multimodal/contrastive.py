"""Contrastive learning between neural activity, behaviour and stimulus: embeddings ``(batch, n)`` in, losses out.

Embeddings have length 1. A pair of the same row is always a positive one.
"""

import math
from collections.abc import Mapping
from itertools import combinations

import torch
import torch.distributed as dist
from torch import Tensor, nn

TOWERS = ("neural", "behaviour", "stimulus")
MAX_SCALE = 100.0
IGNORE_BAND = 3.0  # up to this many times the window of positives, rows are neither like nor unlike


def multi_positive_info_nce(
    z: Tensor, w: Tensor, log_scale: Tensor | float, positives: Tensor, ignore: Tensor | None = None
) -> Tensor:
    r"""InfoNCE in which a row may have several partners, the mean of both directions.

    .. math:: L = -\Big\langle \frac{1}{|P(i)|} \sum_{p \in P(i)}
              \big[ \ell_{ip} - \ln\!\!\sum_{j \notin \text{ignore}(i)}\!\! e^{\ell_{ij}} \big] \Big\rangle_i,
              \qquad \ell_{ij} = s \, \langle z_i, w_j \rangle

    Rows to which every other is a partner or ignored teach nothing and are left out.

    Parameters
    ----------
    z, w : Tensor, shape (B, n)
        Of length 1.
    log_scale : Tensor or float
        ``ln s``; ``s`` is held to 100.
    positives : Tensor of bool, shape (B, B)
        Which ``w`` are partners of which ``z``; must hold the diagonal.
    ignore : Tensor of bool, shape (B, B), optional
        Pairs that count as neither.

    Raises
    ------
    ValueError
        If a row is not its own partner, a pair is both partner and ignored, or shapes do not fit.

    References
    ----------
    .. [1] van den Oord, Li & Vinyals (2018), "Representation learning with contrastive predictive coding",
       arXiv:1807.03748.
    .. [2] Khosla et al. (2020), "Supervised contrastive learning", NeurIPS, arXiv:2004.11362.

    Examples
    --------
    >>> eye = torch.eye(2)
    >>> round(float(multi_positive_info_nce(eye, eye, 0.0, eye.bool())), 4)  # ln(1 + 1/e)
    0.3133
    """
    n = len(z)
    ignore = torch.zeros_like(positives) if ignore is None else ignore
    if z.shape != w.shape or positives.shape != (n, n) or ignore.shape != (n, n):
        raise ValueError(
            f"z {tuple(z.shape)}, w {tuple(w.shape)}, positives {tuple(positives.shape)} and ignore "
            f"{tuple(ignore.shape)} must be two times (B, n) and two times (B, B)"
        )
    lost = ~positives.diagonal()
    if lost.any():
        raise ValueError(
            f"row {int(lost.nonzero()[0])} is not its own partner; without the diagonal the true pair is pushed apart"
        )
    if (positives & ignore).any():
        row, column = (positives & ignore).nonzero()[0].tolist()
        raise ValueError(f"the pair ({row}, {column}) is both a partner and ignored")
    with torch.autocast(z.device.type, enabled=False):  # times 100, half precision is off by tenths
        wide = torch.promote_types(z.dtype, torch.float32)
        scale = torch.as_tensor(log_scale, dtype=wide, device=z.device).clamp(max=math.log(MAX_SCALE)).exp()
        logits = scale * (z.to(wide) @ w.to(wide).mT)
        return (_one_way(logits, positives, ignore) + _one_way(logits.mT, positives.mT, ignore.mT)) / 2


def _one_way(logits: Tensor, positives: Tensor, ignore: Tensor) -> Tensor:
    bottom = logits.masked_fill(ignore, -math.inf).logsumexp(1)
    top = torch.where(positives, logits, torch.zeros_like(logits)).sum(1) / positives.sum(1)
    teaches = (~positives & ~ignore).any(1)
    return torch.where(teaches, bottom - top, torch.zeros_like(top)).sum() / teaches.sum().clamp(min=1)


def partners(
    session: Tensor, time: Tensor, within_s: float, stimulus: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Which rows are alike: of the same stimulus, or of one session and at most ``within_s`` apart.

    Parameters
    ----------
    session : Tensor of int64, shape (B,)
    time : Tensor, shape (B,)
        Seconds since the start of the session, best in float64.
    within_s : float
        0 for no partners by time.
    stimulus : Tensor of int64, shape (B,), optional
        Negative where there is none.

    Returns
    -------
    positives, ignore : Tensor of bool, shape (B, B)
        Ignored are rows of one session that are up to 3 times ``within_s`` apart and not alike.

    Examples
    --------
    >>> positives, ignore = partners(torch.zeros(3).long(), torch.tensor([0.0, 1.0, 3.5]), within_s=1.0)
    >>> positives.int().tolist(), ignore.int().tolist()
    ([[1, 1, 0], [1, 1, 0], [0, 0, 1]], [[0, 0, 0], [0, 0, 1], [0, 1, 0]])
    """
    if within_s < 0:
        raise ValueError(f"within_s={within_s} is in seconds, 0 or more")
    apart = (time[:, None] - time).abs()
    together = session[:, None] == session
    positives = torch.eye(len(time), dtype=torch.bool, device=time.device) | (together & (apart <= within_s))
    if stimulus is not None:
        positives |= (stimulus[:, None] == stimulus) & (stimulus >= 0)
    return positives, together & (apart <= IGNORE_BAND * within_s) & ~positives


def gathered(x: Tensor) -> Tensor:
    """Rows of all processes, ``(world * B, ...)``; itself where there is one process.

    The gradient flows through the rows of this process alone, times the number of processes, so that the mean
    over processes, which wrappers for parallel training take, is the gradient of the loss of all rows.
    """
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return x
    world = dist.get_world_size()
    parts = [torch.empty_like(x) for _ in range(world)]
    dist.all_gather(parts, x.detach().contiguous())
    if x.requires_grad:
        mine = x.view_as(x)
        mine.register_hook(lambda gradient: world * gradient)
        parts[dist.get_rank()] = mine
    return torch.cat(parts)


class TriModalContrastive(nn.Module):
    """Pulls together what neural activity, behaviour and stimulus say about the same moment.

    Parameters
    ----------
    within_s : float
        Windows of one session that lie this close are partners.
    temperature : float
        At the start; it is learned.

    Examples
    --------
    >>> eye = torch.eye(4)
    >>> losses = TriModalContrastive()({"neural": eye, "behaviour": eye}, torch.arange(4), torch.zeros(4))
    >>> list(losses), round(losses["neural-behaviour"].item(), 4)  # ln(1 + 3 e^(-1 / 0.07)), nearly 0
    (['neural-behaviour'], 0.0)
    """

    def __init__(self, within_s: float = 0.0, temperature: float = 0.07):
        super().__init__()
        if within_s < 0 or not temperature > 0:
            raise ValueError(f"within_s={within_s} must be 0 or more, temperature={temperature} positive")
        self.within_s = within_s
        self.log_scale = nn.Parameter(torch.tensor([math.log(1 / temperature)]))

    def forward(
        self,
        towers: Mapping[str, Tensor],
        session: Tensor,
        time: Tensor,
        stimulus: Tensor | None = None,
        present: Mapping[str, Tensor] | None = None,
    ) -> dict[str, Tensor]:
        """Loss of each pair of towers that are given.

        Parameters
        ----------
        towers : mapping of Tensor, shape (B, n)
            Of ``"neural"``, ``"behaviour"`` and ``"stimulus"`` those there are; the same on all processes.
        session, time, stimulus
            As in :func:`partners`.
        present : mapping of Tensor of bool, shape (B,), optional
            Rows that a tower has; by default all.

        Returns
        -------
        dict of Tensor
            By names such as ``"neural-stimulus"``; to be added up. Pairs without two rows are missing.
        """
        unknown = [name for name in towers if name not in TOWERS]
        if unknown:
            raise ValueError(f"no tower {unknown[0]!r}; there are {TOWERS}")
        present = present or {}
        session, time = gathered(session), gathered(time)
        stimulus = None if stimulus is None else gathered(stimulus)
        positives, ignore = partners(session, time, self.within_s, stimulus)
        everyone = torch.ones_like(session, dtype=torch.bool)
        given = {
            name: (gathered(towers[name]), gathered(present[name]) if name in present else everyone)
            for name in TOWERS
            if name in towers
        }
        losses = {}
        for (one, (z, has_z)), (two, (w, has_w)) in combinations(given.items(), 2):
            rows = (has_z & has_w).nonzero()[:, 0]
            if len(rows) > 1:
                losses[f"{one}-{two}"] = multi_positive_info_nce(
                    z[rows], w[rows], self.log_scale, positives[rows][:, rows], ignore[rows][:, rows]
                )
        return losses


def retrieval_at_k(z: Tensor, w: Tensor, k: int, positives: Tensor | None = None) -> float:
    """Fraction of rows ``z (B, n)`` that have a partner among the ``k`` most similar of ``w (B, n)``.

    Ties count against it, so that embeddings which are all the same find nothing.

    Examples
    --------
    >>> eye = torch.eye(4)
    >>> retrieval_at_k(eye, eye, 1), retrieval_at_k(eye, eye.roll(1, 0), 1), retrieval_at_k(eye[:1].expand(4, 4), eye[:1].expand(4, 4), 1)
    (1.0, 0.0, 0.0)
    """
    if not 1 <= k <= len(w):
        raise ValueError(f"k={k} of {len(w)} rows")
    positives = torch.eye(len(z), dtype=torch.bool, device=z.device) if positives is None else positives
    similarity = z @ w.mT
    best = similarity.masked_fill(~positives, -math.inf).amax(1, keepdim=True)
    ahead = ((similarity >= best) & ~positives).sum(1)
    return float((ahead < k).double().mean())
