"""One pass through the stages: vectors ``(n, dim)`` and searches in, codes ``(n, n_stages)`` and sums out."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from neurolib.models.quantizers.search import CHUNK, FEW_ROWS, Search


@dataclass
class Coded:
    """What one pass over the vectors finds."""

    codes: Tensor  # (n, n_stages)
    mse: Tensor  # (n_stages,) mean square of what is left after each stage
    mean: Tensor  # () of these
    left: Tensor | None  # (n, dim) what the stages leave, summed over stages
    counts: Tensor | None  # (n_stages, size) latents of each code
    sums: Tensor | None  # (n_stages, size, dim) what came to each code, summed
    z_q: Tensor | None = None  # (n, dim) sum of the codes, where it comes for free


def code_stages(
    values: Tensor, searches: list[Search], codes: Tensor | None, need_sums: bool, need_left: bool
) -> Coded:
    """Go through the stages, with codes searched or given."""
    n, n_stages = len(values), len(searches)
    if searches[0].arrays is not None and n <= FEW_ROWS and not (need_sums or need_left) and codes is None:
        return _code_few(values, searches)
    found = values.new_empty(n, n_stages, dtype=torch.long) if codes is None else codes
    squares = [0.0] * n_stages
    left = torch.empty_like(values) if need_left else None
    size = searches[0].codebook.shape[0]
    sums = values.new_zeros(n_stages, size, values.shape[1]) if need_sums else None
    chunk = CHUNK if searches[0].arrays is not None else n
    for start in range(0, n, chunk):
        part = slice(start, start + chunk)
        rest = values[part].clone()
        for stage, search in enumerate(searches):
            if codes is None:
                found[part, stage] = at = search(rest)
            else:
                at = found[part, stage]
            if sums is not None:
                sums[stage].index_add_(0, at, rest)
            rest -= search.codebook.index_select(0, at)
            flat = rest.view(-1)
            squares[stage] = squares[stage] + torch.dot(flat, flat)
            if left is not None:
                left[part].copy_(rest) if stage == 0 else left[part].add_(rest)
    counts = None
    if sums is not None:
        flat = found + torch.arange(n_stages, device=found.device) * size
        counts = torch.bincount(flat.view(-1), minlength=n_stages * size).view(n_stages, size).to(values)
    mse = torch.stack(squares) / values.numel()
    return Coded(found, mse, mse.mean(), left, counts, sums)


def _code_few(values: Tensor, searches: list[Search]) -> Coded:
    """The same for a few latents on the CPU, where calls into torch would cost more than the work."""
    left = values.numpy().copy()
    z_q, codes = np.zeros_like(left), np.empty((len(left), len(searches)), dtype=np.int64)
    squares = [0.0] * len(searches)
    for rest, total, row in zip(left, z_q, codes, strict=True):
        for stage, search in enumerate(searches):
            row[stage] = at = search.one(rest)
            code = search.arrays[0][at]
            rest -= code
            total += code
            squares[stage] += float(rest.dot(rest)) / left.size
    mse = torch.tensor([*squares, sum(squares) / len(squares)], dtype=values.dtype)
    found, z_q = torch.from_numpy(codes), torch.from_numpy(z_q)
    return Coded(found, mse[:-1], mse[-1], None, None, None, z_q)


def beam_search(values: Tensor, searches: list[Search], beam: int) -> Tensor:
    """Codes of the smallest error among the ``beam`` best partial codes of every stage, ``(n, n_stages)``."""
    n, dim = values.shape
    rest, errors = values[:, None], values.square().sum(dim=1, keepdim=True)  # (n, kept, dim), (n, kept)
    codes = values.new_empty(n, 1, 0, dtype=torch.long)
    for search in searches:
        kept, size = rest.shape[1], search.codebook.shape[0]
        scores = search.scores(rest.reshape(-1, dim)).view(n, kept, size)
        errors, best = (errors[..., None] - 2 * scores).flatten(1).topk(min(beam, kept * size), largest=False)
        parent, at = best // size, best % size
        rest = rest.gather(1, parent[..., None].expand(-1, -1, dim)) - search.codebook[at]
        codes = torch.cat(
            [codes.gather(1, parent[..., None].expand(-1, -1, codes.shape[2])), at[..., None]], 2
        )
    return codes[:, 0]  # sorted: the first is the best


def look_up(books: Tensor, codes: Tensor) -> Tensor:
    """Sum of the codes' vectors in the order of the stages, ``(n, dim)``."""
    size = books.shape[1]
    with torch.no_grad():
        first = torch.arange(0, codes.shape[1] * size, size, device=codes.device)
        return nn.functional.embedding_bag(codes + first, books.detach().flatten(0, 1), mode="sum")
