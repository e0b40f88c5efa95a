"""Feature-wise modulation: the identity at the start, one net with and without a condition."""

import pytest
import torch

from neurolib.models.coordinates.film import FiLMConfig, modulate

CFG = FiLMConfig(n_condition=3, hidden=8, dropout=0.4)


def woken(cfg=CFG):
    """A generator that is off its zero start."""
    torch.manual_seed(0)
    film = cfg.build([4, 6])
    with torch.no_grad():
        film.null.normal_()
        film.generator[-1].weight.normal_()
    return film


def test_an_untrained_modulation_is_the_identity_bit_for_bit():
    film = CFG.build([4, 6])
    condition = 100 * torch.randn(5, 3)
    for channels, modulation in zip([4, 6], film(film.fill(condition, 5)), strict=True):
        h = torch.randn(5, channels, 2, 3, 2)
        assert torch.equal(modulate(h, modulation), h)


def test_modulation_is_an_affine_map_per_row_and_channel():
    h, gamma, delta = torch.randn(2, 3, 2, 2, 2), torch.randn(2, 3), torch.randn(2, 3)
    changed = modulate(h, (gamma, delta))
    for row in range(2):
        for channel in range(3):
            wanted = h[row, channel] * (1 + gamma[row, channel]) + delta[row, channel]
            torch.testing.assert_close(changed[row, channel], wanted)


def test_one_step_from_zero_opens_the_way_for_every_parameter():
    torch.manual_seed(0)
    film = CFG.build([4])
    h, target, condition = torch.randn(40, 4), torch.randn(40, 4), torch.randn(40, 3)
    optimiser = torch.optim.SGD(film.parameters(), 0.5)
    for _ in range(2):
        optimiser.zero_grad()
        (modulate(h, film(film.fill(condition, 40))[0]) - target).square().mean().backward()
        optimiser.step()
    assert all(p.grad.abs().max() > 0 for p in film.parameters())


def test_rows_without_a_condition_are_the_null_rows():
    film = woken()
    assert torch.equal(film.fill(None, 4), film.null.expand(4, 3))
    condition = torch.randn(4000, 3)
    filled = film.fill(condition, 4000)
    null = (filled == film.null).all(1)
    assert torch.equal(filled[~null], condition[~null])
    assert null.float().mean().item() == pytest.approx(0.4, abs=0.04)
    assert torch.equal(film.eval().fill(condition, 4000), condition)


def test_what_makes_no_sense_is_refused():
    with pytest.raises(ValueError, match=r"condition \(4, 2\) for 4 rows of 3"):
        CFG.build([4]).fill(torch.zeros(4, 2), 4)
    with pytest.raises(ValueError, match="dropout=1"):
        FiLMConfig(3, dropout=1)
    with pytest.raises(ValueError, match="n_condition=0"):
        FiLMConfig(0)
    with pytest.raises(ValueError, match="at least one layer"):
        CFG.build([])
