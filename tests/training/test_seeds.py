"""Seeds side by side: the same answer as one after the other, each with its own stopping point."""

from dataclasses import replace

import pytest
import torch

from neurolib.models.recurrent import RecurrentConfig, RecurrentDecoder
from neurolib.training.batches import trial_tensors
from neurolib.training.loop import TrainConfig
from neurolib.training.seeds import fit_seeds

CFG = TrainConfig(steps=40, batch_size=8, lr=2e-2, eval_every=5, device="cpu", schedule="cosine", ema=0.5)


def run(hand, together, cfg=CFG, seeds=(0, 1, 2)):
    split = hand.split()
    model_cfg = RecurrentConfig(hand.n_units, 2, "gru", hidden=6, dropout=0.0, fused=False)
    train, valid = (trial_tensors(part, torch.float64) for part in (split.train, split.valid))

    def make():
        return RecurrentDecoder(model_cfg).standardise(split.train).double()

    return fit_seeds(make, train, valid, cfg, seeds, together)


def test_side_by_side_equals_one_by_one(hand):
    for (a, log_a), (b, log_b) in zip(run(hand, False), run(hand, True), strict=True):
        assert log_a.best_step == log_b.best_step
        torch.testing.assert_close(torch.tensor(log_b.valid), torch.tensor(log_a.valid), atol=1e-6, rtol=0)
        for p, q in zip(a.parameters(), b.parameters(), strict=True):
            torch.testing.assert_close(q, p, atol=1e-9, rtol=0)


def test_each_seed_stops_where_it_would_stop_alone(hand):
    cfg = replace(CFG, steps=150, lr=0.1, patience=2, schedule="constant", ema=0.0)
    alone, together = run(hand, False, cfg), run(hand, True, cfg)
    best = [log.best_step for _, log in alone]
    assert len(set(best)) > 1, "the seeds must differ for this test to mean anything"
    assert best == [log.best_step for _, log in together]


def test_seeds_differ_and_a_seed_repeats(hand):
    first, second = run(hand, False, seeds=(0, 1)), run(hand, False, seeds=(0, 1))
    weights = [model.readout.weight for model, _ in (*first, *second)]
    assert torch.equal(weights[0], weights[2])
    assert not torch.equal(weights[0], weights[1])


def test_each_seed_resumes_from_a_checkpoint_of_its_own(hand, tmp_path):
    cfg = replace(CFG, checkpoint=str(tmp_path / "run.pt"), checkpoint_every=10)
    first, again = run(hand, False, cfg, seeds=(0, 1)), run(hand, False, cfg, seeds=(0, 1))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run.pt.seed0", "run.pt.seed1"]
    for (a, _), (b, _) in zip(first, again, strict=True):
        assert torch.equal(a.readout.weight, b.readout.weight)


def test_a_fused_kernel_is_named_when_seeds_cannot_share_it(hand):
    split = hand.split()
    data = trial_tensors(split.train)
    with pytest.raises(ValueError, match="fused=False"):
        fit_seeds(lambda: RecurrentDecoder(RecurrentConfig(hand.n_units)), data, data, CFG, (0, 1), True)
