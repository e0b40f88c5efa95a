"""Tables that grow: nothing old moves, and what is unknown is said."""

import pytest
import torch

from neurolib.models.multimodal.identity import GrowingEmbedding


def test_growing_keeps_what_was_learned():
    table = GrowingEmbedding(8, ["a", "b"])
    before = table.weight.detach().clone()
    table.grow(["c"], like=["a", "b"])
    assert torch.equal(table.weight[:2], before)
    assert (table.weight[2] - before.mean(0)).abs().max() < 0.2
    assert table.rows(["c", "a"]).tolist() == [2, 0]


def test_a_table_is_restored_with_its_vocabulary():
    table, other = GrowingEmbedding(4, ["a", "b", "c"]), GrowingEmbedding(4)
    other.load_state_dict(table.state_dict())
    assert other.names == ["a", "b", "c"]
    assert torch.equal(other(other.rows(["b"])), table(table.rows(["b"])))


def test_a_subset_has_the_same_vectors():
    table = GrowingEmbedding(4, ["a", "b", "c"])
    part = table.subset(["c", "a"])
    assert torch.equal(part.weight, table.weight[[2, 0]])


def test_rows_without_names_are_numbered():
    table = GrowingEmbedding(4)
    table.reserve(3)
    table.reserve(2)
    assert len(table) == 3 and table.names == ["#0", "#1", "#2"]


def test_unknown_and_doubled_names_are_refused():
    table = GrowingEmbedding(4, ["a"])
    with pytest.raises(ValueError, match="'a' is in the vocabulary already"):
        table.grow(["a"])
    with pytest.raises(ValueError, match="'b' is in the vocabulary already"):
        table.grow(["b", "b"])
    with pytest.raises(ValueError, match="unit 'z' is not among the 1"):
        table.rows(["z"])
    with pytest.raises(ValueError, match="row 5 of a table of 1"):
        table(torch.tensor([5]))
    assert len(table) == 1
