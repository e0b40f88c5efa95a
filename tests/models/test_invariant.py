"""Summaries of a population: what they forget, what they keep, and their textbook definitions."""

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from neurolib.models.invariant import PopulationSummaryConfig

N_UNITS, BIN_SIZE_S, BINS = 12, 0.025, 6
INVARIANT = ["sorted", "histogram", "moments"]
ALL = [*INVARIANT, "temporal"]
TRAIN = np.random.default_rng(1).poisson(np.linspace(0.2, 3, N_UNITS), (300, N_UNITS))


def built(summary: str, bins: int = BINS, train: np.ndarray | None = TRAIN, pooled: bool = True) -> nn.Module:
    torch.manual_seed(0)
    cfg = PopulationSummaryConfig(summary, bins * BIN_SIZE_S, hidden=(11, 7), top=8, pooled=pooled)
    encoder = cfg.build(N_UNITS, 3, BIN_SIZE_S).double().eval().requires_grad_(False)
    if train is not None:
        encoder.standardise(train)
    return encoder


def spikes(n_bins: int = 40) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(2).poisson(1.0, (2, n_bins, N_UNITS))).double()


@pytest.mark.parametrize("bins", [1, 2, BINS, 60])
@pytest.mark.parametrize("summary", ALL)
def test_whole_trials_chunks_and_single_bins_give_the_same(summary, bins, assert_streams_alike):
    assert_streams_alike(built(summary, bins), spikes())


@pytest.mark.parametrize("summary", ALL)
def test_an_output_depends_on_its_history_and_on_nothing_else(summary):
    encoder, counts = built(summary), spikes()
    changed = counts.clone()
    changed[:, 15, :9] += 9
    moved = (encoder(changed)[0] - encoder(counts)[0]).abs().amax((0, 2)) > 1e-9
    assert moved.nonzero().flatten().tolist() == list(range(15, 15 + BINS))


ORDER = np.random.default_rng(3).permutation(N_UNITS)


@pytest.mark.parametrize("summary", ALL)
def test_only_the_summary_of_each_unit_notices_which_unit_is_which(summary):
    encoder, counts = built(summary), spikes()
    difference = (encoder(counts[..., ORDER])[0] - encoder(counts)[0]).abs().max()
    assert difference == 0 if summary in INVARIANT else difference > 1e-2
    retrained = built(summary, train=TRAIN.take(ORDER, axis=1))
    difference = (retrained(counts[..., ORDER])[0] - encoder(counts)[0]).abs().max()
    assert difference == 0 if summary in INVARIANT else difference > 1e-2


@pytest.mark.parametrize("summary", INVARIANT)
def test_scaling_each_unit_by_itself_lets_identity_back_in(summary):
    encoder, counts = built(summary, pooled=False), spikes()
    assert (encoder(counts[..., ORDER])[0] - encoder(counts)[0]).abs().max() > 1e-2
    retrained = built(summary, train=TRAIN.take(ORDER, axis=1), pooled=False)
    assert torch.equal(retrained(counts[..., ORDER])[0], encoder(counts)[0])
    one_spike = torch.eye(N_UNITS).double()[:, None]  # in another unit per trial
    assert len(torch.unique(built(summary).summarise(one_spike), dim=0)) == 1
    assert len(torch.unique(encoder.summarise(one_spike), dim=0)) > N_UNITS / 2


@pytest.mark.parametrize("summary", ALL)
def test_summaries_are_those_of_numpy_and_scipy(summary):
    encoder, counts = built(summary), spikes(9)
    x = ((counts - encoder.count_mean) / encoder.count_scale).numpy()
    before = np.concatenate([np.zeros((2, BINS - 1, N_UNITS)), x], axis=1)
    features = encoder.summarise(counts)
    for b in range(2):
        for t in range(9):
            now, window = x[b, t], before[b, t : t + BINS]
            expected = {
                "sorted": lambda now=now: np.sort(now)[::-1][:8],
                "histogram": lambda now=now: (
                    np.histogram(np.clip(now, -2.999, 2.999), 32, (-3, 3))[0] / N_UNITS
                ),
                "moments": lambda now=now, b=b, t=t: [
                    now.mean(),
                    now.std(),
                    stats.skew(now),
                    stats.kurtosis(now),
                    *np.quantile(now, [0.1, 0.25, 0.5, 0.75, 0.9]),
                    (counts[b, t] == 0).double().mean(),
                ],
                "temporal": lambda window=window: np.concatenate(
                    [
                        window.mean(0),
                        np.polyfit(np.arange(BINS), window, 1)[0] * (BINS - 1),
                        window.std(0),
                        window.max(0),
                    ]
                ),
            }[summary]()
            np.testing.assert_allclose(features[b, t], expected, rtol=0, atol=2e-6)  # SD of nothing: 1e-6


@pytest.mark.parametrize("summary", INVARIANT)
def test_summaries_of_training_bins_reach_the_perceptron_with_mean_0_and_sd_1(summary):
    encoder, seen = built(summary), []
    encoder.perceptron.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    encoder(torch.from_numpy(TRAIN)[None].double())
    features = seen[0][0]
    varying = features.std(0, correction=0) > 0
    np.testing.assert_allclose(features.mean(0), 0, atol=1e-9)
    np.testing.assert_allclose(features[:, varying].std(0, correction=0), 1, atol=1e-9)
    assert varying.sum() >= 7


def rates(speed: float, angle: np.ndarray) -> torch.Tensor:
    """Cosine tuning to evenly spread preferred directions, one trial of a bin per angle."""
    preferred = 2 * np.pi * np.arange(N_UNITS) / N_UNITS
    return torch.from_numpy(10 + 4 * speed * np.cos(angle[:, None] - preferred))[:, None]


@pytest.mark.parametrize("summary", INVARIANT)
def test_direction_is_not_in_the_multiset_of_rates_but_speed_is(summary):
    encoder = built(summary, bins=1, train=None)
    encoder.count_mean.fill_(10.0)
    encoder.count_scale.fill_(4.0)
    turns = 0.1 + 2 * np.pi * np.arange(N_UNITS) / N_UNITS  # no rate on the edge of a bar
    slow, fast = encoder(rates(1.0, turns))[0], encoder(rates(2.0, turns))[0]
    np.testing.assert_allclose(slow, slow[:1].expand_as(slow), rtol=0, atol=1e-9)
    assert (fast - slow).abs().amax(-1).min() > 1e-2


def test_moments_of_cosine_tuned_rates_have_a_closed_form_whatever_the_direction():
    encoder, angle = built("moments", bins=1, train=None), np.linspace(0, 6, 50)
    for speed in (0.5, 2.0):
        features = encoder.summarise(rates(speed, angle))[:, 0]
        # the k-th power of a cosine at n > k even angles averages as over the circle
        expected = torch.tensor([10, 4 * speed / 2**0.5, 0, 1.5 - 3], dtype=torch.float64)
        np.testing.assert_allclose(features[:, :4], expected.expand(50, 4), rtol=0, atol=1e-9)


def test_the_population_vector_of_the_temporal_summary_is_the_direction():
    encoder, angle = built("temporal", bins=1, train=None), np.linspace(0, 6, 50)
    mean = encoder.summarise(rates(2.0, angle))[:, 0, :N_UNITS].numpy()
    preferred = 2 * np.pi * np.arange(N_UNITS) / N_UNITS
    vector = mean @ np.stack([np.cos(preferred), np.sin(preferred)], axis=1) / (N_UNITS / 2 * 4)
    np.testing.assert_allclose(vector, 2 * np.stack([np.cos(angle), np.sin(angle)], axis=1), atol=1e-9)


@pytest.mark.parametrize("summary", ALL)
def test_gradients_are_finite_when_all_units_are_silent(summary):
    encoder = built(summary).requires_grad_(True)
    counts = torch.zeros(1, 9, N_UNITS).double().requires_grad_()
    encoder(counts)[0].sum().backward()
    for gradient in [counts.grad, *(p.grad for p in encoder.parameters())]:
        assert gradient is None or gradient.isfinite().all()


def test_settings_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="summary='mean' must be one of"):
        PopulationSummaryConfig("mean")
    with pytest.raises(ValueError, match="bars=1 at least 2"):
        PopulationSummaryConfig(bars=1)
    with pytest.raises(ValueError, match="top=16 sorted counts of a population of 12 units; lower top"):
        PopulationSummaryConfig("sorted").build(12, 2, BIN_SIZE_S)
    with pytest.raises(ValueError, match="history_s=-1 must be positive"):
        PopulationSummaryConfig(history_s=-1)


@pytest.mark.parametrize("summary", ALL)
def test_another_population_is_refused(summary):
    with pytest.raises(ValueError, match="for an encoder of 12 units; is this another session"):
        built(summary)(torch.zeros(1, 4, 13).double())
    with pytest.raises(ValueError, match="counts of 13 units for an encoder of 12"):
        built(summary).standardise(np.ones((4, 13)))
