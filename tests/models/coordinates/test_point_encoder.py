"""The encoder of point sets: invariant to the bit, and its geometry against slow loops."""

import numpy as np
import pytest
import torch

from neurolib.models.coordinates.point_encoder import PointEncoderConfig, farthest_points, in_ball, ordered


def points(n_studies=3, n=9, seed=0):
    """Lattice points, so that there are ties and duplicates; studies of different sizes."""
    draw = torch.Generator().manual_seed(seed)
    xyz = 8.0 * torch.randint(-6, 6, (n_studies, n, 3), generator=draw)
    return xyz, torch.arange(n) < torch.tensor([[n], [4], [1]])[:n_studies]


@pytest.fixture(name="encoder")
def _encoder():
    torch.manual_seed(0)
    return PointEncoderConfig(centres=4, hidden=16).build().eval()


def test_neither_order_nor_padding_nor_neighbours_change_anything(encoder):
    xyz, mask = points()
    out = encoder(xyz, mask)
    for seed in range(5):
        order = torch.randperm(9, generator=torch.Generator().manual_seed(seed))
        assert torch.equal(encoder(xyz[:, order], mask[:, order]), out)
    more = torch.cat([torch.full((3, 6, 3), torch.nan), xyz], 1)
    assert torch.equal(encoder(more, torch.cat([torch.zeros(3, 6, dtype=bool), mask], 1)), out)
    for i in range(3):  # matrix products of other sizes round differently
        torch.testing.assert_close(encoder(xyz[i : i + 1], mask[i : i + 1])[0], out[i], rtol=0, atol=1e-5)


def test_every_focus_counts_and_a_study_without_any_is_zeros(encoder):
    xyz, mask = points()
    moved = xyz.clone()
    moved[1, 2] += 30.0
    changed = (encoder(moved, mask) - encoder(xyz, mask)).abs().amax(1)
    assert changed[1] > 1e-3
    assert changed[0] == changed[2] == 0
    assert not encoder(xyz, torch.zeros_like(mask)).any()
    twice = encoder(torch.cat([xyz, xyz], 1), torch.cat([mask, mask], 1))
    assert (twice - encoder(xyz, mask)).abs().max() > 1e-3  # it counts


def test_farthest_points_are_those_of_a_slow_loop():
    xyz, mask = ordered(*points(n=9, seed=3))
    index, real = farthest_points(xyz, mask, 6)
    for study in range(3):
        places = xyz[study, mask[study]].double().numpy()
        chosen = [int(np.argmax((places**2).sum(1)))]
        while len(chosen) < min(6, len(places)):
            gaps = [
                -1.0 if i in chosen else min(np.linalg.norm(p - places[c]) for c in chosen)
                for i, p in enumerate(places)
            ]
            chosen.append(int(np.argmax(gaps)))
        assert index[study, real[study]].tolist() == chosen


def test_balls_hold_what_a_slow_loop_finds():
    xyz, mask = points()
    centre = torch.tensor([[[0.0, 0, 0], [16.0, -8, 8]]]).expand(3, -1, -1)
    near = in_ball(xyz, mask, centre, 24.0)
    for study, which, focus in np.ndindex(*near.shape):
        apart = np.linalg.norm(xyz[study, focus].numpy() - centre[study, which].numpy())
        assert near[study, which, focus] == (bool(mask[study, focus]) and apart <= 24.0)
    assert near.any() and not near[mask[:, None].expand_as(near)].all()


def test_shapes_that_do_not_fit_are_refused(encoder):
    with pytest.raises(ValueError, match="xyz_mm"):
        encoder(torch.zeros(2, 5, 3), torch.ones(2, 4, dtype=torch.bool))
    with pytest.raises(ValueError, match="radii_mm"):
        PointEncoderConfig(radii_mm=())
