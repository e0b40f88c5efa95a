"""Decoders: equal to the field's own formulas, causal, and the same when streamed."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from neurolib.models.decoder import Decoder, fit_best, stream_trials
from neurolib.models.kalman import KalmanConfig, KalmanDecoder
from neurolib.models.linear import RidgeConfig, RidgeDecoder, fit_best_lag
from neurolib.models.recurrent import RecurrentConfig, RecurrentDecoder


def fitted(kind: str, trials):
    split = trials.split()
    if kind == "ridge":
        return RidgeDecoder(RidgeConfig(history_bins=4, lag_bins=1)).fit(split.train, split.valid)
    if kind == "kalman":
        return KalmanDecoder(KalmanConfig(lag_bins=2)).fit(split.train)
    torch.manual_seed(0)
    model = RecurrentDecoder(RecurrentConfig(trials.n_units, 2, cell=kind, hidden=7))
    return model.standardise(split.train)


KINDS = ["ridge", "kalman", "gru", "lstm"]


@pytest.mark.parametrize("kind", KINDS)
def test_streaming_one_bin_at_a_time_gives_the_offline_answer(kind, hand):
    decoder = fitted(kind, hand)
    assert isinstance(decoder, Decoder)
    test = hand.select(range(5))
    np.testing.assert_allclose(stream_trials(decoder, test), decoder.predict(test), atol=2e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_prediction_does_not_depend_on_later_bins(kind, hand):
    decoder, trial = fitted(kind, hand), hand.trial(0)
    changed = trial.counts.copy()
    changed[15:] += 3
    before = decoder.predict(trial)
    after = decoder.predict(type(trial)(changed, trial.behaviour, trial.lengths, trial.bin_size_s))
    np.testing.assert_allclose(after[:15], before[:15], atol=1e-6)
    assert np.abs(after[15:] - before[15:]).max() > 1e-3


@pytest.mark.parametrize("kind", KINDS)
def test_another_population_is_refused(kind, hand):
    with pytest.raises(ValueError, match="5 units, but the decoder was fitted on 12"):
        fitted(kind, hand).predict(hand.with_units(range(5)))


def test_ridge_is_scikit_learns_ridge(hand):
    split = hand.split()
    decoder = RidgeDecoder(RidgeConfig(history_bins=3, penalties=(7.0,))).fit(split.train)

    def features(trials):
        mean, scale = split.train.counts.mean(0), split.train.counts.std(0)
        return ((trials.history(3, fill=mean) - mean) / scale).reshape(len(trials.counts), -1)

    peer = Ridge(alpha=7.0).fit(features(split.train), split.train.behaviour)
    np.testing.assert_allclose(decoder.predict(split.test), peer.predict(features(split.test)), atol=1e-5)


def test_the_penalty_is_the_one_with_the_least_valid_error(hand):
    split, grid = hand.split(), (1e-1, 1e2, 1e6)
    chosen = RidgeDecoder(RidgeConfig(3, penalties=grid)).fit(split.train, split.valid)
    errors = [
        ((RidgeDecoder(RidgeConfig(3, penalties=(p,))).fit(split.train).predict(split.valid)
          - split.valid.behaviour) ** 2).sum(0)
        for p in grid
    ]  # fmt: skip
    np.testing.assert_array_equal(chosen.penalty, np.asarray(grid)[np.argmin(errors, axis=0)])


def test_a_silent_unit_does_no_harm_to_any_linear_decoder(hand):
    counts = hand.counts.copy()
    counts[:, 3] = 0
    muted = type(hand)(counts, hand.behaviour, hand.lengths, hand.bin_size_s)
    for decoder in (RidgeDecoder(RidgeConfig(2, penalties=(1.0,))), KalmanDecoder()):
        assert np.isfinite(decoder.fit(muted).predict(muted)).all()


def test_the_lag_sweep_finds_the_lag_the_population_has(make_hand):
    # the hand does now what the counts told three bins ago
    split = make_hand(n_trials=60, lag_bins=3).split()
    best, scores = fit_best_lag(RidgeConfig(history_bins=1), split.train, split.valid, range(-2, 6))
    assert best.cfg.lag_bins == 3
    assert scores[3] > scores[0] + 0.1


def test_streaming_refuses_a_decoder_that_looks_ahead(hand):
    split = hand.split()
    decoder = RidgeDecoder(RidgeConfig(2, lag_bins=-1)).fit(split.train, split.valid)
    with pytest.raises(ValueError, match="looks ahead"):
        decoder.stream()
    with pytest.raises(ValueError, match="looks ahead"):
        KalmanDecoder(KalmanConfig(lag_bins=-1))


def test_kalman_filter_is_the_textbook_recursion(hand):
    decoder = KalmanDecoder(KalmanConfig(lag_bins=0)).fit(hand)
    trial = hand.trial(2)
    z = (np.sqrt(trial.counts) - decoder.count_mean) / decoder.count_scale
    state = (hand.behaviour - decoder.state_mean) / decoder.state_scale
    observed = (np.sqrt(hand.counts) - decoder.count_mean) / decoder.count_scale
    residual = observed - state @ decoder.loading.T
    noise = residual.T @ residual / len(residual) + 1e-3 * np.eye(hand.n_units)
    x, cov, slow = decoder.first_mean, decoder.first_cov, []
    for t, counts in enumerate(z):
        if t:
            x = decoder.transition @ x
            cov = decoder.transition @ cov @ decoder.transition.T + decoder.drift_cov
        gain = cov @ decoder.loading.T @ np.linalg.inv(decoder.loading @ cov @ decoder.loading.T + noise)
        x = x + gain @ (counts - decoder.loading @ x)
        cov = (np.eye(2) - gain @ decoder.loading) @ cov
        slow.append(x)
    expected = np.array(slow) * decoder.state_scale + decoder.state_mean
    np.testing.assert_allclose(decoder.predict(trial), expected, atol=1e-8)


def test_kalman_needs_a_transition(make_hand):
    hand = make_hand()
    ones = type(hand)(hand.counts[:4], hand.behaviour[:4], [1] * 4, 0.05)
    with pytest.raises(ValueError, match="a transition needs two"):
        KalmanDecoder().fit(ones)


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_the_unrolled_cell_is_torchs_fused_one(cell):
    torch.manual_seed(1)
    fused = RecurrentDecoder(RecurrentConfig(5, 2, cell, hidden=6)).double().eval()
    plain = RecurrentDecoder(RecurrentConfig(5, 2, cell, hidden=6, fused=False)).double().eval()
    plain.load_state_dict(fused.state_dict())
    counts = torch.randn(3, 11, 5, dtype=torch.float64)
    torch.testing.assert_close(plain(counts), fused(counts), rtol=0, atol=1e-12)


def test_bins_that_do_not_exist_do_not_enter_the_loss():
    model = RecurrentDecoder(RecurrentConfig(4, 2, hidden=3)).eval()
    batch = {
        "counts": torch.rand(2, 6, 4),
        "behaviour": torch.rand(2, 6, 2),
        "mask": torch.ones(2, 6, dtype=bool),
    }
    batch["mask"][1, 4:] = False
    before = model.loss(batch)
    batch["behaviour"][1, 4:] = 1e6
    torch.testing.assert_close(model.loss(batch), before)


def test_an_unknown_cell_is_named():
    with pytest.raises(ValueError, match="cell='grru'"):
        RecurrentDecoder(RecurrentConfig(3, cell="grru"))


def test_the_decoder_kept_is_the_best_on_valid_trials_and_on_the_outputs_that_count(hand):
    split = hand.split()
    ridges = [RidgeDecoder(RidgeConfig(window)) for window in (1, 6)]
    for outputs in (slice(None), [1]):
        best = fit_best(ridges, split.train, split.valid, outputs)
        errors = [
            ((ridge.predict(split.valid) - split.valid.behaviour)[:, outputs] ** 2).sum() for ridge in ridges
        ]
        assert best is ridges[int(np.argmin(errors))]
    with pytest.raises(ValueError, match="no decoder to choose from"):
        fit_best([], split.train, split.valid)
