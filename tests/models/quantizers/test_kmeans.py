import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits

from neurolib.models.quantizers.kmeans import kmeans, residual_kmeans


def latents(n=2000, dim=24, seed=0):
    """Points near a curved manifold of four dimensions, as an encoder makes them."""
    draw = np.random.default_rng(seed)
    curved = np.tanh(draw.standard_normal((n, 4)) @ draw.standard_normal((4, dim)))
    return torch.tensor(curved + 0.05 * draw.standard_normal((n, dim)), dtype=torch.float32)


@pytest.fixture(scope="module")
def scikit():
    points = latents()
    with threadpool_limits(1):
        return points, KMeans(32, n_init=10, random_state=0).fit(points.numpy())


def test_the_error_is_about_scikit_learns_best_of_ten(scikit):
    points, theirs = scikit
    ratios = [
        kmeans(points, 32, iterations=100, tolerance=1e-5, seed=seed).inertia / theirs.inertia_
        for seed in range(6)
    ]
    assert 0.98 < min(ratios) < 1.01 and max(ratios) < 1.05  # one run of scikit-learn itself: 1.015


def test_labels_counts_and_error_belong_to_the_centres(scikit):
    points, _ = scikit
    found = kmeans(points, 32, iterations=3)
    distances = torch.cdist(points.double(), found.centres.double()).square()
    assert torch.equal(found.labels, distances.argmin(dim=1))
    assert torch.equal(found.counts, torch.bincount(found.labels, minlength=32))
    assert found.inertia == pytest.approx(float(distances.min(dim=1).values.sum()), rel=1e-4)


def test_a_converged_centre_is_the_mean_of_its_points():
    points = latents(300)
    found = kmeans(points, 8, iterations=200, tolerance=0)
    for k in range(8):
        torch.testing.assert_close(found.centres[k], points[found.labels == k].mean(dim=0), atol=1e-5, rtol=0)


def test_the_seed_decides_all():
    points = latents(500)
    assert torch.equal(kmeans(points, 9, seed=3).centres, kmeans(points, 9, seed=3).centres)
    assert not torch.equal(kmeans(points, 9, seed=3).centres, kmeans(points, 9, seed=4).centres)


def test_no_centre_stays_empty_even_with_as_many_centres_as_distinct_points():
    points = torch.arange(20.0)[:, None].repeat(5, 1)  # each five times
    found = kmeans(points, 20)
    assert found.counts.tolist() == [5] * 20 and found.inertia == pytest.approx(0, abs=1e-8)


def test_a_large_common_offset_costs_no_precision():
    points = latents(500, 6)
    assert kmeans(points + 1000, 8).inertia == pytest.approx(kmeans(points, 8).inertia, rel=0.02)


def test_the_last_stage_reports_the_error_of_the_sum_of_all_stages():
    points = latents()
    stages = residual_kmeans(points, 16, 3)
    total = sum(stage.centres[stage.labels] for stage in stages)
    assert float((points - total).square().sum()) == pytest.approx(stages[-1].inertia, rel=1e-3)
    assert stages[0].inertia > stages[1].inertia > stages[2].inertia


@pytest.mark.parametrize(
    "points, k, message",
    [
        (torch.randn(10, 3), 11, "k=11 centres for 10 points"),
        (torch.ones(50, 3), 2, "of which 1 are distinct"),
        (torch.arange(3.0)[:, None].repeat(9, 1), 4, "of which 3 are distinct"),
        (
            torch.tensor([[1.0], [float("nan")], [2.0]]),
            2,
            "1 of 3 points hold NaN or infinity, the first in row 1",
        ),
        (torch.arange(6).view(3, 2), 2, "want floats"),
        (torch.randn(6), 2, "want floats"),
    ],
)
def test_data_that_cannot_be_clustered_is_refused(points, k, message):
    with pytest.raises(ValueError, match=message):
        kmeans(points, k)
