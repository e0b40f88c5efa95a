"""A pool multiplies evidence: its exponents are found again, and each network alone is a special case."""

import numpy as np
import pytest
import torch
from torch import nn

from neurolib.models.coordinates.density import NodeField
from neurolib.models.coordinates.field_pool import FieldPool


class Given(nn.Module):
    """Fields that are given, a row per study; the study's number is in its condition."""

    def __init__(self, values):
        super().__init__()
        self.values = values

    def fields(self, batch):
        return self.values[batch["condition"][:, 0].long()]


@pytest.fixture(scope="module")
def pooled(ball):
    generator = torch.Generator().manual_seed(0)
    field = NodeField(ball, np.full(ball.n_voxels, -np.log(ball.n_voxels)))
    parts = [Given(torch.randn(150, field.n_nodes, generator=generator)) for _ in range(2)]
    batch = {
        "condition": torch.arange(150).float()[:, None],
        "seen": torch.zeros(150, 60, dtype=torch.bool),
        "mask": torch.ones(150, 60, dtype=torch.bool),
    }
    batch["seen"][:, :9] = True
    truth = field(0.7 * parts[0].values + 0.3 * parts[1].values).exp()
    batch["voxels"] = torch.multinomial(truth, 60, replacement=True, generator=generator)
    return field, parts, batch


def test_exponents_are_found_again(pooled):
    field, parts, batch = pooled
    pool = FieldPool(field, parts).fit(batch, n_iterations=20)
    np.testing.assert_allclose(pool.weights(), [0.7, 0.3], atol=0.05)


def test_one_exponent_alone_is_that_network(pooled):
    field, parts, batch = pooled
    pool = FieldPool(field, parts)
    with torch.no_grad():
        pool.exponents.copy_(torch.tensor([[0.0, 0.0], [1.0, 0.0]]))
    density = torch.cat(list(pool.densities(batch, block=40)))
    torch.testing.assert_close(density, field(parts[1].values).exp())


def test_a_list_of_networks_is_their_mean(pooled):
    field, parts, batch = pooled
    pool = FieldPool(field, [parts])
    torch.testing.assert_close(pool.parts(batch)[0], (parts[0].values + parts[1].values) / 2)


def test_without_seen_foci_slopes_stay_at_zero(pooled):
    field, parts, batch = pooled
    pool = FieldPool(field, parts).fit(batch | {"seen": torch.zeros_like(batch["seen"])})
    assert not pool.exponents[:, 1].any()


def test_nothing_to_pool_or_to_fit_is_an_error(pooled):
    field, parts, batch = pooled
    with pytest.raises(ValueError, match="no networks"):
        FieldPool(field, [])
    with pytest.raises(ValueError, match="no hidden focus"):
        FieldPool(field, parts).fit(batch | {"seen": batch["mask"]})
