"""What every tokenizer promises: padding, order and absence of channels change nothing, and no future leaks."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from neurolib.models.multimodal.identity import GrowingEmbedding
from neurolib.models.multimodal.inputs import ModalityInput, Tokens
from neurolib.models.multimodal.population import PopulationTransformerConfig
from neurolib.models.multimodal.tokenizers import (
    BinnedTokenizerConfig,
    CalciumTokenizerConfig,
    EEGTokenizerConfig,
    EMGTokenizerConfig,
    FieldTokenizerConfig,
    FMRITokenizerConfig,
    SpikeEventTokenizerConfig,
    default_tokenizers,
)

D, ROWS, CHANNELS = 8, 3, 6
SAMPLED = {
    "binned": BinnedTokenizerConfig(stride_s=0.06),
    "binned log1p in patches": BinnedTokenizerConfig(
        stride_s=0.06, transform="log1p", merge="patch", groups=2
    ),
    "binned, units attending": BinnedTokenizerConfig(
        stride_s=0.06, population=PopulationTransformerConfig(layers=1, heads=2)
    ),
    "behaviour": BinnedTokenizerConfig(transform="none"),
    "lfp": FieldTokenizerConfig(),
    "lfp bipolar": FieldTokenizerConfig(reference="bipolar", pool="sum"),
    "ecog": FieldTokenizerConfig.ecog(queries=2),
    "emg": EMGTokenizerConfig(),
    "two-photon": CalciumTokenizerConfig.two_photon(deconv="oasis"),
    "miniscope": CalciumTokenizerConfig.miniscope(),
    "eeg": EEGTokenizerConfig(),
    "eeg 1s": EEGTokenizerConfig(patch="1s"),
    "fmri": FMRITokenizerConfig(),
    "fmri regions": FMRITokenizerConfig(tokens="region", patch=4),
}
COUNTS = ("binned", "binned log1p in patches", "binned, units attending")
LENGTH = {"eeg 1s": 330, "lfp": 205, "lfp bipolar": 205, "ecog": 205, "emg": 205}  # samples; else 43
CAUSAL = [name for name, cfg in SAMPLED.items() if hasattr(cfg, "causal") and name != "two-photon"]
ALL = [*SAMPLED, "events"]


def inputs_for(name: str) -> ModalityInput:
    """A batch of one kind, with ids out of order and positions for some channels."""
    torch.manual_seed(0)
    ids = torch.stack([torch.randperm(CHANNELS) for _ in range(ROWS)])
    if name == "events":
        n = torch.tensor([20, 31, 9])
        time, unit = torch.rand(60).double(), torch.randint(CHANNELS, (60,))
        offsets = torch.cat([torch.zeros(1, dtype=torch.int64), n.cumsum(0)])
        return ModalityInput.events(time, unit, offsets, ids, window_s=1.0)
    values = torch.randn(ROWS, LENGTH.get(name, 43), CHANNELS).double()
    if name in COUNTS:
        values = torch.poisson(values.exp())
    coords = torch.nn.functional.normalize(torch.randn(ROWS, CHANNELS, 3).double(), dim=-1)
    coords[:, 0] = torch.nan  # not known
    return ModalityInput.sampled(values, SAMPLED[name].rate_hz, channel=ids, coords=coords)


def built(name: str, **changes):
    torch.manual_seed(1)
    cfg = SpikeEventTokenizerConfig() if name == "events" else SAMPLED[name]
    table = GrowingEmbedding(D, [str(i) for i in range(CHANNELS)])
    tokenizer = replace(cfg, **changes).build(D, table).double()
    with torch.no_grad():  # so that no bias is zero
        for parameter in tokenizer.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return tokenizer


def valid(tokens: Tokens) -> list[torch.Tensor]:
    """Valid tokens of each window with time and unit, ordered by both."""
    rows = []
    for x, time, mask, unit in zip(tokens.tokens, tokens.time, tokens.mask, tokens.unit, strict=True):
        order = torch.argsort((time[mask].double() * 1e4).round() * 100 + unit[mask], stable=True)
        rows.append(torch.cat([time[mask, None], unit[mask, None], x[mask]], dim=1)[order].detach())
    return rows


def assert_alike(ours: Tokens, theirs: Tokens, atol: float) -> None:
    for mine, other in zip(valid(ours), valid(theirs), strict=True):
        np.testing.assert_allclose(mine, other, rtol=0, atol=atol)


def padded(x: ModalityInput, samples: int, channels: int, junk: float) -> ModalityInput:
    """More samples, channels and events, all masked and full of junk."""

    def more(t, fill, n, dim):
        shape = list(t.shape)
        shape[dim] = n
        return torch.cat([t, torch.full(shape, fill, dtype=t.dtype)], dim)

    grown = {
        "time": more(x.time, junk, samples, 1),
        "mask": more(x.mask, False, samples, 1),
        "channel": more(x.channel, 10**6, channels, 1),
        "channel_mask": more(x.channel_mask, False, channels, 1),
    }
    if x.values is not None:
        grown["values"] = more(more(x.values, junk, samples, 1), junk, channels, 2)
        grown["coords"] = more(x.coords, junk, channels, 1)
    else:
        grown["event_time"] = more(x.event_time, junk, samples, 1)
        grown["event_unit"] = more(x.event_unit, 10**6, samples, 1)
        grown["event_mask"] = more(x.event_mask, False, samples, 1)
    return replace(x, **grown)


def single(x: ModalityInput) -> ModalityInput:
    """The same in single precision."""
    tensors = {f.name: getattr(x, f.name) for f in fields(x)}
    return replace(x, **{k: v.float() for k, v in tensors.items() if v is not None and v.is_floating_point()})


def chosen(x: ModalityInput, columns: torch.Tensor) -> ModalityInput:
    """The same windows with other channels, or these in another order."""
    picked = replace(x, channel=x.channel[:, columns], channel_mask=x.channel_mask[:, columns])
    if x.values is not None:
        return replace(picked, values=x.values[:, :, columns], coords=x.coords[:, columns])
    where = torch.full((CHANNELS,), -1)
    where[columns] = torch.arange(len(columns))
    unit = where[x.event_unit]
    return replace(picked, event_unit=unit.clamp(min=0), event_mask=x.event_mask & (unit >= 0))


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("junk", [1e6, float("nan")])
def test_padding_changes_nothing_whatever_it_holds(name, junk):
    tokenizer, x = built(name), inputs_for(name)
    plain = tokenizer(x)
    assert plain.mask.any(1).all()
    assert_alike(tokenizer(padded(x, 37, 5, junk)), plain, 1e-6)


@pytest.mark.parametrize("name", ALL)
def test_channels_have_no_order(name):
    tokenizer, x = built(name), inputs_for(name)
    shuffled = tokenizer(chosen(x, torch.randperm(CHANNELS)))
    assert_alike(shuffled, tokenizer(x), 1e-5)
    swapped = replace(x, channel=x.channel.flip(1))  # but they have identities
    assert any(
        not torch.allclose(a, b) for a, b in zip(valid(tokenizer(swapped)), valid(tokenizer(x)), strict=True)
    )


@pytest.mark.parametrize("name", ALL)
def test_half_of_the_channels_masked_is_half_of_the_channels_absent(name):
    tokenizer, x = built(name), inputs_for(name)
    keep = torch.arange(CHANNELS) < CHANNELS // 2
    masked = tokenizer(x.keeping(channel_mask=keep))
    assert masked.tokens.isfinite().all()
    assert_alike(masked, tokenizer(chosen(x, keep.nonzero()[:, 0])), 1e-6)


@pytest.mark.parametrize("name", ALL)
def test_no_gradient_reaches_what_is_masked(name):
    tokenizer, x = built(name), inputs_for(name)
    x = replace(x, channel=torch.arange(CHANNELS).expand(ROWS, -1))
    gone = 0 if name != "lfp bipolar" else CHANNELS - 1  # also the row that stands in for masked ids
    x = x.keeping(channel_mask=torch.arange(CHANNELS) != gone)
    if x.values is not None:
        x = x.keeping(mask=torch.arange(x.time.shape[1]) < 30)
        x = replace(x, values=x.values.requires_grad_())
    tokenizer(x).tokens.sin().sum().backward()
    table = tokenizer.place.channels.weight.grad.abs().sum(1)
    assert table[gone] == 0 and table[1] > 0
    if x.values is not None:
        gradient = x.values.grad.abs()
        assert gradient[:, :, gone].max() == 0 and gradient[:, 30:].max() == 0 and gradient.max() > 0


@pytest.mark.parametrize("name", ALL)
def test_windows_without_data_give_masked_zeros(name):
    tokenizer, x = built(name), inputs_for(name)
    plain = tokenizer(x)
    for hidden in ("mask", "channel_mask"):
        gone = replace(x, **{hidden: getattr(x, hidden) & (torch.arange(ROWS) != 1)[:, None]})
        tokens = tokenizer(gone)
        assert not tokens.mask[1].any() and (tokens.tokens[1] == 0).all() and (tokens.time[1] == 0).all()
        np.testing.assert_allclose(tokens.tokens[0].detach(), plain.tokens[0].detach(), atol=1e-12)
        tokens.tokens.sum().backward()
        assert all(p.grad.isfinite().all() for p in tokenizer.parameters() if p.grad is not None)
    none = tokenizer(x.keeping(mask=torch.zeros_like(x.mask)))
    assert not none.mask.any() and none.tokens.isfinite().all()


@pytest.mark.parametrize("name", SAMPLED)
def test_another_rate_is_refused(name):
    tokenizer, x = built(name), inputs_for(name)
    rate = SAMPLED[name].rate_hz
    tokenizer(replace(x, time=x.time / 1.005))
    with pytest.raises(ValueError, match=rf"wrong rate.*{1.03 * rate:.4g} Hz.*rate_hz={rate:.4g}"):
        tokenizer(replace(x, time=x.time / 1.03))


@pytest.mark.parametrize("name", CAUSAL)
def test_causal_tokens_know_nothing_that_comes_after_them(name):
    x = inputs_for(name)
    at = x.time.shape[1] // 2
    later = (torch.arange(x.time.shape[1]) >= at)[:, None]
    changed = replace(x, values=x.values + later * torch.arange(1, 1 + CHANNELS) ** 2)
    for causal in (True, False):
        tokenizer = built(name, causal=causal)
        before, after = tokenizer(x), tokenizer(changed)
        past = before.time <= x.time[:, at : at + 1] + 1e-6  # in all rows alike
        difference = (after.tokens - before.tokens).abs().amax(-1)
        assert past.any() and difference[~past].max() > 1e-4
        if causal:
            assert difference[past].max() == 0


@pytest.mark.parametrize("name", CAUSAL)
def test_times_are_the_centre_of_a_patch_or_its_end(name):
    tokenizer, x = built(name), inputs_for(name)
    x = replace(x, time=x.time + 3.0)
    rate, stride = SAMPLED[name].rate_hz, tokenizer.stride * getattr(tokenizer, "merged", 1)
    for causal, part in ((False, 0.5), (True, 1.0)):
        time = built(name, causal=causal)(x).time
        expected = 3.0 + (torch.arange(-(-x.time.shape[1] // stride)) + part) * stride / rate
        np.testing.assert_allclose(time[0].unique(), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", SAMPLED)
def test_gaps_are_masked_and_never_read(name):
    tokenizer, x = built(name), inputs_for(name)
    samples = torch.arange(x.time.shape[1])
    gap = (samples >= 12) & (samples < 12 + (170 if len(samples) > 100 else 20))
    x = x.keeping(mask=~gap)
    junk = replace(x, values=torch.where(gap[:, None], 1e6, x.values))
    assert_alike(tokenizer(junk), tokenizer(x), 0)
    if name != "eeg 1s":
        assert not tokenizer(x).mask.all()


@pytest.mark.parametrize("name", [n for n in SAMPLED if n not in COUNTS])
def test_tokens_do_not_depend_on_units_once_scaled(name):
    x = inputs_for(name)
    volts = replace(x, values=x.values * 1e-6 + (0 if name in ("ecog", "lfp bipolar") else 3e-5))
    tokens = []
    for signal in (x, volts):
        tokenizer = built(name)
        tokenizer.standardise(signal)
        tokens.append(tokenizer(signal))
        saved = built(name)
        saved.load_state_dict(tokenizer.state_dict())
        assert_alike(saved(signal), tokens[-1], 0)
    assert_alike(*tokens, 1e-5)


@pytest.mark.parametrize("name", ["lfp", "eeg"])
def test_volts_that_nothing_was_fitted_to_are_noticed(name):
    x = inputs_for(name)
    with pytest.warns(UserWarning, match=r"SD of 1e-06.*volts"):
        built(name)(replace(x, values=x.values * 1e-6))


@pytest.mark.parametrize("name", ALL)
def test_single_precision_and_bfloat16_stay_close(name):
    tokenizer, x = built(name), inputs_for(name)
    exact = tokenizer(x).tokens.detach()
    x = single(x)
    small = tokenizer.float()(x)
    assert small.tokens.dtype == torch.float32
    np.testing.assert_allclose(small.tokens.detach(), exact, rtol=1e-3, atol=1e-3)
    with torch.autocast("cpu", torch.bfloat16):
        rough = tokenizer(x).tokens
    np.testing.assert_allclose(rough.detach().float(), exact, rtol=0.1, atol=0.1)


@pytest.mark.parametrize("name", ALL)
def test_every_weight_is_used(name):
    tokenizer = built(name)
    tokens = tokenizer(inputs_for(name))
    (tokens.tokens.sin().sum() + tokens.time.sin().sum()).backward()
    for label, parameter in tokenizer.named_parameters():
        if "mix.ensemble" in label or "mix.position" in label:  # of the pretext tasks, and of known positions
            continue
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, label


def test_defaults_cover_every_modality_at_their_rates():
    from neurolib.models.multimodal.inputs import MODALITIES

    defaults = default_tokenizers()
    assert sorted(defaults) == sorted(MODALITIES)
    for cfg in defaults.values():
        x = ModalityInput.sampled(torch.ones(1, 40, 3), cfg.rate_hz)
        assert cfg.build(4, GrowingEmbedding(4, "abc"))(x).tokens.isfinite().all()


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: FieldTokenizerConfig(kernels_ms=()), "kernels_ms is empty"),
        (lambda: FieldTokenizerConfig(stride_s=0), "0 s at 500"),
        (lambda: FieldTokenizerConfig(reference="CAR"), "reference='CAR'"),
        (lambda: EMGTokenizerConfig(pool="mean"), "pool='mean'"),
        (lambda: EEGTokenizerConfig(queries=0), "queries=0"),
        (lambda: EEGTokenizerConfig(patch="2s"), "patch='2s'"),
        (lambda: CalciumTokenizerConfig(deconv="relu"), "deconv='relu'"),
        (lambda: CalciumTokenizerConfig(deconv="oasis", causal=True), "causal=True needs 'none'"),
        (lambda: BinnedTokenizerConfig(transform="zscore"), "transform='zscore'"),
        (lambda: BinnedTokenizerConfig(merge="mean"), "merge='mean'"),
        (lambda: FMRITokenizerConfig(tokens="voxel"), "tokens='voxel'"),
        (lambda: SpikeEventTokenizerConfig(max_events=0), "max_events=0"),
        (lambda: FieldTokenizerConfig().build(8, GrowingEmbedding(4, "ab")), "identities of width 4"),
    ],
)
def test_settings_that_make_no_sense_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
