"""Tokens of single spikes, of counts, and of populations of any size."""

import numpy as np
import pytest
import torch
from scipy.stats import kstest

from neurolib.models.multimodal.identity import GrowingEmbedding
from neurolib.models.multimodal.inputs import ModalityInput
from neurolib.models.multimodal.tokenizers import BinnedTokenizerConfig, SpikeEventTokenizerConfig


def table(n: int, d: int = 4) -> GrowingEmbedding:
    torch.manual_seed(0)
    return GrowingEmbedding(d, [str(i) for i in range(n)]).double()


def events(time, unit, n_units: int, window_s: float = 1.0) -> ModalityInput:
    time, unit = torch.as_tensor(time).double(), torch.as_tensor(unit)
    channel = torch.arange(n_units)[None]
    return ModalityInput.events(time, unit, torch.tensor([0, len(time)]), channel, window_s)


def test_a_token_is_the_vector_of_its_unit_and_boundaries_frame_the_window():
    identities = table(3)
    tokenizer = SpikeEventTokenizerConfig().build(4, identities).double()
    tokens = tokenizer(events([0.7, 0.2], [2, 0], 3, window_s=1.5))
    assert tokens.unit[0].tolist() == [2, 0, 0, 1, 2, 0, 1, 2]
    assert tokens.time[0].tolist() == pytest.approx([0.7, 0.2, 0, 0, 0, 1.5, 1.5, 1.5])
    vectors = identities.weight[tokens.unit[0]] + tokenizer.kind[torch.tensor([0, 0, 1, 1, 1, 2, 2, 2])]
    np.testing.assert_allclose(tokens.tokens[0].detach(), vectors.detach())
    bare = SpikeEventTokenizerConfig(boundaries=False).build(4, identities).double()
    assert bare(events([0.7, 0.2], [2, 0], 3)).unit.tolist() == [[2, 0]]


def test_thinning_is_even_over_time_and_units():
    rng = np.random.default_rng(0)
    n, limit, units = 20_000, 4000, 10
    time, unit = np.sort(rng.random(n)), rng.integers(units, size=n)
    tokenizer = SpikeEventTokenizerConfig(max_events=limit, boundaries=False).build(4, table(units))
    with pytest.warns(UserWarning, match="20000 spikes in a window, but max_events=4000"):
        tokens = tokenizer(events(time, unit, units))
    assert tokens.mask.sum() == limit
    kept, who = tokens.time[0].numpy(), tokens.unit[0].numpy()
    assert kstest(kept, "uniform").pvalue > 0.01
    expected = np.bincount(unit) * limit / n
    assert (np.abs(np.bincount(who) - expected) < 4 * np.sqrt(expected)).all()
    assert np.abs(np.corrcoef(np.histogram(kept[who < 5], 50)[0], np.arange(50))[0, 1]) < 0.5
    assert np.isin(np.round(kept, 9), np.round(time, 9)).all() and (np.diff(kept) >= 0).all()


def test_which_spikes_go_does_not_depend_on_their_order_or_the_batch():
    tokenizer = SpikeEventTokenizerConfig(max_events=50, boundaries=False).build(4, table(5))
    torch.manual_seed(0)
    time, unit = torch.rand(200).double(), torch.randint(5, (200,))
    order = torch.randperm(200)
    with pytest.warns(UserWarning, match="thinned"):
        kept = tokenizer(events(time, unit, 5)).time[0].sort().values
        shuffled = tokenizer(events(time[order], unit[order], 5)).time[0].sort().values
    assert kept.tolist() == shuffled.tolist()


def test_a_causal_tokenizer_refuses_to_thin():
    tokenizer = SpikeEventTokenizerConfig(max_events=2, causal=True).build(4, table(1))
    with pytest.raises(ValueError, match="3 spikes in a window, but max_events=2; a causal"):
        tokenizer(events([0.1, 0.2, 0.3], [0, 0, 0], 1))


def test_events_and_counts_name_each_others_tokenizer():
    with pytest.raises(ValueError, match="BinnedTokenizer"):
        SpikeEventTokenizerConfig().build(4, table(2))(ModalityInput.sampled(torch.zeros(1, 5, 2), 50.0))
    with pytest.raises(ValueError, match="use a tokenizer of events"):
        BinnedTokenizerConfig().build(4, table(2))(events([0.1], [0], 2))
    with pytest.raises(ValueError, match=r"value of -1.*transform='none'"):
        BinnedTokenizerConfig().build(4, table(2))(ModalityInput.sampled(-torch.ones(1, 5, 2), 50.0))


@pytest.mark.parametrize("merge, transform", [("total", "sqrt"), ("patch", "log1p"), ("total", "none")])
def test_population_tokens_are_the_sum_over_units(merge, transform):
    cfg = BinnedTokenizerConfig(stride_s=0.04, merge=merge, transform=transform, groups=2, features=3)
    identities = table(5)
    tokenizer = cfg.build(4, identities).double()
    x = torch.poisson(torch.full((1, 6, 5), 1.5)).double()
    got = tokenizer(ModalityInput.sampled(x, 50.0)).tokens[0]
    how = {"sqrt": lambda n: 2 * (n + 0.375) ** 0.5 - 1.5**0.5, "log1p": np.log1p, "none": float}[transform]
    for token, (step, group) in enumerate(np.ndindex(3, 2)):
        expected, members = torch.zeros(4).double(), [u for u in range(5) if u % 2 == group]
        for u in members:
            pair = x[0, 2 * step : 2 * step + 2, u]
            if merge == "total":
                pair = [pair.mean() if transform == "none" else pair.sum()]
            features = []
            for value in pair:
                value = torch.tensor(how(float(value)), dtype=torch.float64)
                bend = tokenizer.slope[:, 0] * value + tokenizer.shift[:, 0]
                features += [value, *torch.nn.functional.gelu(bend)]
            phi = torch.stack(features) @ tokenizer.total.weight
            expected = expected + phi * identities.weight[u] / len(members) ** 0.5
        np.testing.assert_allclose(got[token].detach(), expected.detach(), atol=1e-12)


def test_a_half_recorded_patch_counts_as_if_it_had_gone_on_like_that():
    tokenizer = BinnedTokenizerConfig(stride_s=0.08).build(4, table(2)).double()
    x = ModalityInput.sampled(torch.ones(1, 4, 2), 50.0)
    half, whole = (tokenizer(part).tokens.detach() for part in (x.keeping(mask=torch.arange(4) < 2), x))
    np.testing.assert_allclose(half, whole)
