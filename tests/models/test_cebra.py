"""CEBRA through its own package: reads a hand, keeps to its window and trial, says what is missing."""

import sys

import numpy as np
import pytest

from neurolib.metrics.decoding import r2_variance_weighted
from neurolib.models.cebra import CebraConfig, CebraDecoder

QUICK = {"history_bins": 3, "n_latents": 3, "steps": 300, "lr": 3e-3, "time_offset_bins": 1, "device": "cpu"}


def fit(trials, **settings):
    pytest.importorskip("cebra")
    split = trials.split()
    return CebraDecoder(CebraConfig(**QUICK | settings)).fit(split.train, split.valid), split


def test_a_missing_package_is_named_with_its_extra(hand, monkeypatch):
    monkeypatch.setitem(sys.modules, "cebra", None)
    with pytest.raises(ImportError, match=r"neurolib-book\[peers\]"):
        CebraDecoder().fit(hand, hand)


def test_it_reads_the_hand_from_an_embedding_on_the_sphere(make_hand):
    decoder, split = fit(make_hand(n_trials=60))
    assert r2_variance_weighted(split.test.behaviour, decoder.predict(split.test)) > 0.5
    embedding = decoder.embed(split.test)
    assert embedding.shape == (len(split.test.counts), 3)
    np.testing.assert_allclose(np.linalg.norm(embedding, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize(("lag_bins", "reaches_back"), [(0, 0), (-1, 1)])
def test_a_prediction_sees_later_bins_only_if_the_lag_says_so(hand, lag_bins, reaches_back):
    decoder, split = fit(hand, lag_bins=lag_bins, steps=20)
    trial = split.test.select([0, 1])
    n = trial.lengths[0]
    changed = trial.counts.copy()
    changed[10] += 5
    before, after = (
        decoder.embed(type(trial)(counts, trial.behaviour, trial.lengths, trial.bin_size_s))
        for counts in (trial.counts, changed)
    )
    moved = np.flatnonzero(np.abs(after - before).max(axis=1) > 1e-4)
    np.testing.assert_array_equal(moved, np.arange(10, 13) - reaches_back)
    assert n > 13
    assert decoder.is_causal == (reaches_back == 0)


@pytest.mark.parametrize(("labels", "n_given"), [("time", 1), ("behaviour", 2)])
def test_only_behaviour_labels_show_the_package_the_behaviour(hand, monkeypatch, labels, n_given):
    cebra = pytest.importorskip("cebra")
    given, real = [], cebra.CEBRA.fit
    monkeypatch.setattr(cebra.CEBRA, "fit", lambda self, *args: given.append(args) or real(self, *args))
    fit(hand, labels=labels, steps=10)
    assert [len(args) for args in given] == [n_given]


def test_another_population_is_refused(hand):
    decoder, split = fit(hand, steps=10)
    with pytest.raises(ValueError, match="5 units, but the decoder was fitted on 12"):
        decoder.predict(split.test.with_units(range(5)))


def test_settings_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="labels='velocity' must be one of"):
        CebraConfig(labels="velocity")
    with pytest.raises(ValueError, match="history_bins=0"):
        CebraConfig(history_bins=0)
    with pytest.raises(ValueError, match="no read-out"):
        CebraConfig(neighbours=(), penalties=())
