"""Baselines of EEG against mne, scipy, closed forms and data with a known answer."""

import numpy as np
import pytest
import torch
from scipy.signal import periodogram
from torch.nn import functional as F

from neurolib.models.band_power import BandPowerConfig, band_power
from neurolib.models.csp import CspConfig
from neurolib.models.eeg_nets import EegNetConfig, ShallowConvNetConfig
from neurolib.training.loop import TrainConfig, fit


@pytest.fixture(scope="module")
def epochs():
    """Two classes that differ in the 10 Hz power of one source of eight, mixed into ten channels; 100 Hz."""
    rng = np.random.default_rng(0)
    label = np.resize([0, 1, 1, 0], 80)
    sources = rng.standard_normal((80, 200, 10))
    phase = rng.uniform(0, 2 * np.pi, (80, 1))
    sources[:, :, 0] += np.where(label, 2.5, 1.0)[:, None] * np.sin(2 * np.pi * 0.1 * np.arange(200) + phase)
    return (sources @ rng.standard_normal((10, 10))).astype(np.float32), label


def _same(one, other, atol):
    np.testing.assert_allclose(one.detach(), other.detach(), atol=atol, rtol=1e-5)


def test_filters_are_mnes(epochs):
    decoding = pytest.importorskip("mne.decoding")
    values, label = epochs
    values = values - values.mean(axis=1, keepdims=True)
    ours = CspConfig(n_filters=4, shrinkage=0.0).build().fit(values, label)
    theirs = decoding.CSP(n_components=4, component_order="mutual_info", norm_trace=False)
    theirs.fit(values.transpose(0, 2, 1).astype(float), label)
    for name, reference in (("filters", theirs.filters_[:4]), ("patterns", theirs.patterns_[:4])):
        mine = getattr(ours, name)
        cosine = (mine * reference).sum(axis=1)
        cosine /= np.linalg.norm(mine, axis=1) * np.linalg.norm(reference, axis=1)
        np.testing.assert_allclose(np.abs(cosine), 1, atol=1e-6)


def test_filters_make_both_covariances_diagonal(epochs):
    values, label = epochs
    model = CspConfig(n_filters=10, shrinkage=0.0).build().fit(values, label)
    values = values - values.mean(axis=1, keepdims=True)
    covariance = [np.cov(values[label == k].reshape(-1, 10).T, bias=True) for k in (0, 1)]
    turned = [model.filters @ c @ model.filters.T for c in covariance]
    np.testing.assert_allclose(turned[1], np.diag(2 * model.eigenvalues), atol=1e-5)
    np.testing.assert_allclose(turned[0] + turned[1], 2 * np.eye(10), atol=1e-5)
    np.testing.assert_allclose(model.filters @ model.patterns.T, np.eye(10), atol=1e-5)


def test_patterns_and_power_are_learned_from_one_half_for_the_other(epochs):
    values, label = epochs
    for model in (CspConfig().build(), BandPowerConfig(((8, 13),)).build(100.0)):
        model.fit(values[:40], label[:40])
        assert (model.predict(values[40:]) == label[40:]).mean() > 0.8


@pytest.mark.parametrize(
    ("change", "message"),
    [("three", "two classes"), ("sum", "shrinkage"), ("few", "channels")],
)
def test_impossible_patterns_are_refused(epochs, change, message):
    values, label = epochs
    if change == "three":
        label = np.arange(80) % 3
    if change == "sum":
        values = values - values.mean(axis=2, keepdims=True, dtype=np.float64)
    with pytest.raises(ValueError, match=message):
        CspConfig(n_filters=11 if change == "few" else 4, shrinkage=0.0).build().fit(values, label)


def test_band_power_is_scipys_periodogram(epochs):
    values = epochs[0][:3]
    frequency, density = periodogram(values.astype(float), 100.0, "hann", axis=1)
    inside = (frequency >= 8) & (frequency < 13)
    expected = density[:, inside].sum(axis=1) * 0.5  # per Hz, in steps of half a Hz
    np.testing.assert_allclose(band_power(values, 100.0, [(8, 13)])[:, 0], expected, rtol=1e-6)
    with pytest.raises(ValueError, match="hold no frequency"):
        band_power(values, 100.0, [(60, 70)])


def test_the_shallow_net_is_that_of_the_paper_computed_layer_by_layer():
    torch.manual_seed(0)
    net = (
        ShallowConvNetConfig().build(n_channels=5, n_samples=150, rate_hz=100.0, n_classes=3).double().eval()
    )
    x = torch.randn(4, 150, 5, dtype=torch.float64)
    temporal = F.conv2d(x[:, None], net.temporal.weight[:, :, :, None], net.temporal.bias)  # (B, 40, T, C)
    y = net.norm(net.spatial(temporal.permute(0, 2, 1, 3).flatten(2)).transpose(1, 2))
    power = torch.stack([y[:, :, s : s + 30].square().mean(2) for s in range(0, y.shape[2] - 29, 6)], dim=2)
    _same(net(x), net.readout(power.log().flatten(1)), 1e-9)


def test_the_compact_net_filters_in_time_then_in_space():
    torch.manual_seed(0)
    net = EegNetConfig().build(n_channels=5, n_samples=128, rate_hz=128.0, n_classes=2).double().eval()
    x = torch.randn(3, 128, 5, dtype=torch.float64)
    padded = F.pad(x.transpose(1, 2), (31, 32))
    temporal = F.conv2d(padded[:, None], net.temporal.weight[:, :, None])  # (B, 8, C, T)
    spatial = net.spatial / net.spatial.norm(dim=1, keepdim=True).clamp(min=1)
    y = torch.einsum("bfct,fdc->bfdt", temporal, spatial.view(8, 2, 5)).flatten(1, 2)
    y = F.avg_pool1d(F.elu(net.norm(y)), 4)
    y = net.pointwise(net.depthwise(F.pad(y, (7, 8))))
    y = F.avg_pool1d(F.elu(net.second_norm(y)), 8).flatten(1)
    weight = net.readout.weight
    weight = weight / (weight.norm(dim=1, keepdim=True) / 0.25).clamp(min=1)
    _same(net(x), y @ weight.T + net.readout.bias, 1e-6)


@pytest.mark.parametrize("cfg", [ShallowConvNetConfig(n_filters=8, dropout=0.2), EegNetConfig(dropout=0.2)])
def test_nets_learn_power_and_do_not_look_at_their_neighbours(epochs, cfg):
    values, label = epochs
    torch.manual_seed(0)
    net = cfg.build(n_channels=10, n_samples=200, rate_hz=100.0, n_classes=2)
    net.standardise(values[:60])
    batch = {"epochs": torch.as_tensor(values[:60]), "label": torch.as_tensor(label[:60])}
    fit(net, batch, batch, TrainConfig(steps=60, batch_size=20, lr=1e-2, eval_every=60, device="cpu"))
    assert (net.predict(values[60:]).numpy() == label[60:]).mean() > 0.8
    net.train()
    for module in net.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    alone, among = net(batch["epochs"][:1]), net(batch["epochs"])[:1]
    _same(alone, among, 1e-5)


def test_whitening_leaves_channels_uncorrelated_and_in_place(epochs):
    values = epochs[0]
    net = EegNetConfig().build(n_channels=10, n_samples=200, rate_hz=100.0, n_classes=2)
    net.standardise(values, shrinkage=0.0)
    white = net._channels_first(torch.as_tensor(values)).transpose(1, 2).flatten(0, 1)
    _same(white.T.cov(correction=0), torch.eye(10), 1e-3)
    _same(net.whitener, net.whitener.T, 1e-6)


def test_wrong_epochs_are_refused():
    net = ShallowConvNetConfig().build(n_channels=4, n_samples=100, rate_hz=100.0, n_classes=2)
    with pytest.raises(ValueError, match="time, then channels"):
        net(torch.zeros(2, 4, 100))
    with pytest.raises(ValueError, match="too few"):
        ShallowConvNetConfig().build(n_channels=4, n_samples=20, rate_hz=100.0, n_classes=2)
