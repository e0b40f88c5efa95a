"""Padded tensors hold every focus of a study once, and what may be seen of it."""

import numpy as np
import pytest
import torch

from neurolib.data.coordinate_splits import hide_all, hide_half, hide_table
from neurolib.models.coordinates.batches import hold_out_tensors, joined, study_tensors, training_tensors


def test_rows_hold_the_foci_of_their_study(ball, known_corpus):
    voxels = known_corpus.voxels(ball)
    batch = study_tensors(known_corpus, voxels, [5, 2], known_corpus.topics)
    for row, study in enumerate([5, 2]):
        at = known_corpus.foci([study])
        np.testing.assert_array_equal(batch["voxels"][row][batch["mask"][row]], voxels[at])
        assert batch["table"][row][batch["mask"][row]].tolist() == np.repeat([0, 1, 2], 4).tolist()
    np.testing.assert_array_equal(batch["condition"], known_corpus.topics[[5, 2]])
    assert torch.equal(batch["seen"], batch["mask"])


@pytest.mark.parametrize("hide", [hide_half, hide_table, hide_all])
def test_hidden_foci_come_in_the_order_of_the_hold_out(ball, known_corpus, hide):
    voxels = known_corpus.voxels(ball)
    hold_out = hide(known_corpus, np.arange(20))
    batch = hold_out_tensors(known_corpus, voxels, hold_out)
    hidden = batch["mask"] & ~batch["seen"]
    np.testing.assert_array_equal(batch["voxels"][hidden], voxels[hold_out.hidden])
    np.testing.assert_array_equal(batch["voxels"][batch["mask"] & batch["seen"]], voxels[hold_out.seen])
    assert batch["condition"].shape == (20, 0)


def test_valid_rows_hide_a_half_and_then_a_table(ball, known_corpus):
    voxels = known_corpus.voxels(ball)
    train, valid = training_tensors(known_corpus, voxels, np.arange(100), np.arange(100, 120))
    assert len(train["mask"]) == 100
    hidden = (valid["mask"] & ~valid["seen"]).sum(1).tolist()
    assert hidden == [6] * 20 + [4] * 20


def test_joined_rows_are_padded_to_the_longest():
    short = {"mask": torch.ones(1, 2, dtype=torch.bool)}
    long = {"mask": torch.ones(2, 3, dtype=torch.bool)}
    assert joined([short, long])["mask"].tolist() == [[True, True, False], [True] * 3, [True] * 3]


def test_studies_without_foci_are_refused(ball, known_corpus):
    with pytest.raises(ValueError, match="0 studies without a single focus"):
        study_tensors(known_corpus, known_corpus.voxels(ball), [])
