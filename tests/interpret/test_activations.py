"""Reading and changing: what comes back is what passed, and nothing stays behind."""

import pytest
import torch
from torch import nn

from neurolib.interpret.activations import Patch, patch, record
from neurolib.models.sites import Site, Tap, inside, sites_of


class TwoSignals(nn.Module):
    """A user's own module: a dict in, a dict out, a part that is called twice, a recurrent part."""

    def __init__(self):
        super().__init__()
        self.enter = nn.ModuleDict({"lfp": nn.Linear(3, 4), "spikes": nn.Linear(5, 4)})
        self.mix, self.gru = Tap(), nn.GRU(4, 6, batch_first=True)
        self.twice, self.drop = nn.Linear(6, 6), nn.Dropout(0.5)

    def forward(self, signals):
        x = self.mix(sum(self.enter[name](value) for name, value in signals.items()))
        hidden, last = self.gru(x)
        return {"out": self.drop(self.twice(self.twice(hidden))), "last": last}

    def sites(self):
        return (
            Site("mix", axes=("batch", "time", "channel")),
            Site("hidden", "gru", ("batch", "time", "channel")),
            Site("before", "gru", ("batch", "time", "channel"), side="input"),
            Site("second", "twice", ("batch", "time", "channel"), call=1),
        )


@pytest.fixture
def model():
    torch.manual_seed(0)
    return TwoSignals().train()


@pytest.fixture
def signals():
    torch.manual_seed(1)
    return {"lfp": torch.randn(2, 7, 3), "spikes": torch.rand(2, 7, 5)}


def n_hooks(model):
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


def test_recorded_values_are_those_that_passed(model, signals):
    acts = record(model, signals)
    x = sum(model.enter[name](value) for name, value in signals.items())
    hidden, _ = model.gru(x)
    for name, wanted in {"mix": x, "before": x, "hidden": hidden}.items():
        torch.testing.assert_close(acts[name], wanted)
    torch.testing.assert_close(acts["second"], model.twice(model.twice(hidden)))
    torch.testing.assert_close(acts.output["out"], acts["second"])  # no dropout: evaluation mode
    assert acts.axes["hidden"] == ("batch", "time", "channel")
    assert not acts["mix"].requires_grad
    assert model.training and model.drop.training and n_hooks(model) == 0


def test_what_follows_in_place_does_not_change_what_was_recorded():
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(inplace=True))
    acts = record(model, torch.randn(3, 4))
    assert (acts["0"] < 0).any() and (acts["1"] >= 0).all()


def test_gradients_at_sites_are_those_of_the_chain_rule(model, signals):
    acts = record(model, signals, ["mix", "second"], gradients=True)
    acts.output["out"].square().sum().backward()
    torch.testing.assert_close(acts.gradient("second"), 2 * acts["second"].detach())
    assert acts.gradient("mix").abs().sum() > 0
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    frozen = record(model, signals, ["mix"], gradients=True)
    frozen.output["out"].square().sum().backward()
    torch.testing.assert_close(frozen.gradient("mix"), acts.gradient("mix"))
    with pytest.raises(ValueError, match="gradients=True"):
        record(model, signals, ["mix"]).gradient("mix")


def test_patching_a_site_with_its_own_value_changes_nothing_and_with_anothers_gives_anothers(model, signals):
    other = {name: value.flip(0) for name, value in signals.items()}
    here, there = record(model, signals), record(model, other)
    for name in ("mix", "before", "hidden", "second"):
        with patch(model, {name: here[name]}):
            assert torch.equal(model(signals)["out"], here.output["out"])
        with patch(model, {name: there[name]}):
            torch.testing.assert_close(model(signals)["out"], there.output["out"])
    assert model.training and n_hooks(model) == 0


@pytest.mark.parametrize(
    "index",
    [
        {"channel": [1, 3]},
        {"channel": 2, "time": slice(2, 5)},
        {"batch": [1], "time": [0, 6], "channel": [-1, 0]},
        {2: torch.tensor([True, False, False, True])},
    ],
)
@pytest.mark.parametrize("gradients", [True, False])
def test_a_patch_of_a_part_is_the_loop_over_its_entries(model, signals, index, gradients):
    new = record(model, {name: value.flip(0) for name, value in signals.items()}, ["mix"])["mix"]
    old = record(model, signals, ["mix"])["mix"]
    wanted = old.clone()
    lists = []
    for number, axis in enumerate(("batch", "time", "channel")):
        at = index.get(axis, index.get(number, slice(None)))
        lists.append(torch.atleast_1d(torch.arange(old.shape[number])[at]).tolist())
    for i in lists[0]:
        for j in lists[1]:
            for k in lists[2]:
                wanted[i, j, k] = new[i, j, k]
    rows = [torch.tensor(at) for at in lists]
    part = new[rows[0][:, None, None], rows[1][:, None], rows[2]].requires_grad_(gradients)
    with patch(model, [Patch("mix", part, index)]), torch.set_grad_enabled(gradients):
        with patch(model, {}) as same:
            assert same is model
        acts = record(model, signals, ["before"], gradients=gradients)
    torch.testing.assert_close(acts["before"], wanted)


def test_functions_of_values_and_several_patches_in_turn(model, signals):
    old = record(model, signals, ["mix"])["mix"]
    changes = [Patch("mix", lambda x: 2 * x), Patch("mix", lambda x: x + 1, {"channel": [0]})]
    with patch(model, changes):
        found = record(model, signals, ["before"])["before"]
    torch.testing.assert_close(found[..., 1:], 2 * old[..., 1:])
    torch.testing.assert_close(found[..., 0], 2 * old[..., 0] + 1)


def test_hooks_go_when_the_run_fails(model, signals):
    with pytest.raises(RuntimeError, match="mat1"), patch(model, {"mix": lambda x: x}):
        model({"lfp": torch.zeros(2, 7, 9)})
    with pytest.raises(ValueError, match="does not fit"), patch(model, {"mix": torch.zeros(3, 7, 4)}):
        model(signals)
    assert n_hooks(model) == 0 and model.training


def test_what_never_fires_says_so(model, signals):
    with pytest.raises(RuntimeError, match="did not pass it"), patch(model, {"enter.lfp": lambda x: x}):
        model({"spikes": signals["spikes"]})
    with (
        pytest.raises(RuntimeError, match=r"2 time\(s\)"),
        patch(model, [Patch(Site("twice", call=5), lambda x: x)]),
    ):
        model(signals)
    with pytest.raises(RuntimeError, match="more than once"):
        record(model, signals, ["twice"])


def test_one_block_may_run_the_model_again_and_again(model, signals):
    with patch(model, {"mix": torch.zeros(4)}):
        first, second = model(signals)["out"], model(signals)["out"]
    assert torch.equal(first, second)


def test_fused_attention_is_seen():
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    assert record(layer, torch.randn(2, 5, 8), ["linear1"])["linear1"].shape == (2, 5, 16)
    assert torch.backends.mha.get_fastpath_enabled()


@pytest.mark.parametrize(
    ("site", "message"),
    [
        ("nothing", "has no site 'nothing'; it has mix, hidden"),
        (Site("x", "no.such"), "no module for site x"),
        (Site("last", "gru", pick=4), "gives 2 parts"),
        (Site("gru", axes=("batch", "channel")), r"shape \(2, 7, 6\)"),
        (Site("mix", pick=1), "means nothing"),
    ],
)
def test_bad_sites_are_named(model, signals, site, message):
    with pytest.raises(ValueError, match=message):
        record(model, signals, [site])


def test_bad_patches_are_named(model, signals):
    for changes, message in (
        ([Patch("mix", torch.zeros(1), {"head": [0]})], "no axis 'head'"),
        ([Patch("mix", torch.zeros(1), {"channel": [4]})], "index 4 is outside axis 'channel' of 4"),
        ({"mix": lambda x: 3.0}, "gave a float"),
    ):
        with pytest.raises(ValueError, match=message), patch(model, changes):
            model(signals)


def test_sites_of_parts_are_sites_of_the_whole(model):
    whole = nn.ModuleDict({"inner": model})
    renamed = inside("inner", model.sites(), "a.")
    assert [site.name for site in renamed] == ["a.mix", "a.hidden", "a.before", "a.second"]
    assert whole.get_submodule(renamed[1].module) is model.gru
    plain = nn.ModuleDict(dict(model.named_children()))  # declares nothing
    assert set(sites_of(plain)) == {"enter.lfp", "enter.spikes", "mix", "gru", "twice", "drop"}


def test_declared_sites_are_checked():
    class Wrong(nn.Linear):
        def sites(self):
            return (Site("a", "weights"),)

    class Twice(nn.Linear):
        def sites(self):
            return (Site("a", ""), Site("a", ""))

    with pytest.raises(ValueError, match="has no module 'weights'"):
        sites_of(Wrong(1, 1))
    with pytest.raises(ValueError, match="'a' twice"):
        sites_of(Twice(1, 1))
    with pytest.raises(ValueError, match="must be 'output' or 'input'"):
        Site("a", side="both")


def test_masks_leave_out_what_fills(model, signals):
    acts = record(model, signals, ["hidden"])
    mask = torch.ones(2, 7)
    mask[0, 3:] = 0
    assert acts.samples("hidden", mask).shape == (10, 6) and acts.samples("hidden").shape == (14, 6)
    with pytest.raises(ValueError, match="does not fit"):
        acts.samples("hidden", mask[:, :3])
