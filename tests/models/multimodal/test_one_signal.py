"""The small model of one signal learns what is in it, asks at its time, and takes scales from training windows."""

import pytest
import torch

from neurolib.models.multimodal.heads import DecoderHeadConfig
from neurolib.models.multimodal.inputs import ModalityInput, pack
from neurolib.models.multimodal.one_signal import OneSignalConfig
from neurolib.models.multimodal.tokenizers import CalciumTokenizerConfig, EMGTokenizerConfig
from neurolib.training.loop import TrainConfig, fit

CONFIG = OneSignalConfig(
    "emg",
    EMGTokenizerConfig(200.0, 0.1, (25.0,), 100.0, pool="sum"),
    0.4,
    DecoderHeadConfig(2, "categorical", hidden=(8,)),
    d=16,
    dropout=0.0,
    waveform=0.0,
)


def windows(n, seed):
    """Which of two electrodes is loud; electrodes are far from zero mean and unit spread."""
    draw = torch.Generator().manual_seed(seed)
    target = torch.randint(0, 2, (n,), generator=draw)
    values = torch.randn(n, 80, 2, generator=draw)
    values[torch.arange(n), :, target] *= 3
    batch = pack({"emg": ModalityInput.sampled(50 + 20 * values, 200.0)})
    return batch | {"target": target, "session": torch.zeros(n, dtype=torch.int64)}


def test_it_learns_which_electrode_is_loud():
    train, test = windows(96, 0), windows(64, 1)
    torch.manual_seed(0)
    model = CONFIG.build(["a", "b"], train, ["one person"])
    fit(model, train, train, TrainConfig(40, 32, 5e-3, eval_every=40, device="cpu"))
    said = model.predict(test)
    torch.testing.assert_close(said.sum(1), torch.ones(64))
    assert (said.argmax(1) == test["target"]).double().mean() > 0.9


def test_power_is_centred_on_training_windows():
    train = windows(32, 0)
    tokenizer = CONFIG.build(["a", "b"], train).model.tokenizers["emg"]
    values = tokenizer.scaling(train["emg/channel"], train["emg/values"])
    levels = tokenizer.envelope(values, train["emg/mask"])
    torch.testing.assert_close(levels.mean(), tokenizer.level[0])
    torch.testing.assert_close(levels.std(), tokenizer.level_spread[0])
    assert not tokenizer.filters.weight.any()


def test_recordings_have_vectors_of_their_own():
    train = windows(4, 0)
    model = CONFIG.build(["a", "b"], train, ["one", "two"]).eval()
    with torch.no_grad():
        model.model.recordings.weight[2] += torch.randn(16)
        first = model(train)
        second = model(train | {"session": torch.ones(4, dtype=torch.int64)})
    assert (first - second).abs().max() > 1e-4


def test_identities_start_as_large_as_asked_and_settings_are_checked():
    batch = pack({"calcium": ModalityInput.sampled(torch.rand(6, 20, 40), 20.0)})
    sizes = []
    for factor in (1.0, 50.0):
        torch.manual_seed(0)
        cfg = OneSignalConfig(
            "calcium", CalciumTokenizerConfig(20.0), 1.0, DecoderHeadConfig(1), identity=factor
        )
        model = cfg.build([f"{i}" for i in range(40)], batch)
        sizes.append(float(model.model.channels["calcium"].weight.detach().std()))
    assert sizes[1] == pytest.approx(50 * sizes[0])
    with pytest.raises(ValueError, match="outside the window"):
        OneSignalConfig("emg", EMGTokenizerConfig(), 1.0, DecoderHeadConfig(1), ask_s=1.5)
