"""What all families have in common."""

import copy
import math

import pytest
import torch

from neurolib.models.quantizers.finite_scalar import FiniteScalarConfig
from neurolib.models.quantizers.gumbel import GumbelConfig
from neurolib.models.quantizers.lookup_free import LookupFreeConfig
from neurolib.models.quantizers.product import ProductConfig
from neurolib.models.quantizers.residual import ResidualConfig

FAMILIES = {
    "vq": ResidualConfig(size=16),
    "residual": ResidualConfig(n_stages=3, size=16),
    "beam": ResidualConfig(n_stages=3, size=16, beam=4),
    "gradient": ResidualConfig(n_stages=2, size=16, update="gradient"),
    "simvq": ResidualConfig(n_stages=2, size=16, update="linear", estimator="rotation"),
    "frozen": ResidualConfig(n_stages=2, size=16, update="frozen"),
    "product": ProductConfig(4, ResidualConfig(size=16)),
    "product of grids": ProductConfig(2, FiniteScalarConfig((3, 4))),
    "gumbel": GumbelConfig(size=16),
    "fsq": FiniteScalarConfig((5, 4, 3)),
    "residual fsq": FiniteScalarConfig((5, 4, 3), n_stages=2),
    "lfq": LookupFreeConfig(n_bits=5),
    "bsq": LookupFreeConfig(n_bits=5, spherical=True),
}
every_family = pytest.mark.parametrize("cfg", FAMILIES.values(), ids=FAMILIES)
DIM = 8


def latents(*shape, seed=0):
    return torch.randn(*shape, DIM, generator=torch.Generator().manual_seed(seed))


def built(cfg):
    torch.manual_seed(0)
    return cfg.build(DIM).init_kmeans(latents(400))


@every_family
@pytest.mark.parametrize("shape", [(), (1,), (5,), (7, 30), (2, 3, 700)])
def test_decoding_the_codes_gives_back_the_quantized_latents_bit_by_bit(cfg, shape):
    quantizer = built(cfg).eval()
    done = quantizer(latents(*shape, seed=1))
    assert done.codes.shape == (*shape, quantizer.n_codebooks) and done.codes.dtype == torch.long
    assert torch.equal(quantizer.decode(done.codes), done.z_q)


@every_family
def test_bits_are_those_of_the_codes(cfg):
    quantizer = built(cfg)
    assert quantizer.bits == pytest.approx(math.log2(math.prod(quantizer.sizes)))
    codes = quantizer.eval()(latents(3000)).codes
    assert (codes >= 0).all() and (codes < torch.tensor(quantizer.sizes)).all()


@every_family
def test_starting_from_the_latents_beats_their_mean(cfg):
    z = latents(400)
    error = (built(cfg).eval()(z).z_q - z).square().mean()
    assert error < 0.95 * z.var(dim=0, correction=0).mean()


@every_family
def test_in_use_nothing_changes_and_nothing_is_random(cfg):
    quantizer, z = built(cfg).eval(), latents(50)
    before = copy.deepcopy(quantizer.state_dict())
    assert torch.equal(quantizer(z).codes, quantizer(z).codes)
    assert all(torch.equal(before[name], value) for name, value in quantizer.state_dict().items())


@every_family
def test_a_copy_and_a_reloaded_quantizer_give_the_same_codes(cfg):
    quantizer, z = built(cfg).eval(), latents(50)
    codes = quantizer(z).codes  # also fills whatever is kept for the next call
    reloaded = cfg.build(DIM).eval()
    assert reloaded(z).codes.shape == codes.shape
    reloaded.load_state_dict(quantizer.state_dict())
    for other in (reloaded, copy.deepcopy(quantizer)):
        assert torch.equal(other(z).codes, codes)


@every_family
def test_inference_mode_changes_nothing_and_leaves_training_possible(cfg):
    quantizer, z = built(cfg).eval(), latents(50)
    with torch.inference_mode():
        inside, inner = quantizer(z), cfg.build(DIM).init_kmeans(latents(400)).eval()
        assert torch.equal(inner.decode(inner(z).codes), inner(z).z_q)
    outside = quantizer(z)
    assert torch.equal(inside.codes, outside.codes) and torch.equal(inside.z_q, outside.z_q)
    done = quantizer.train()(z.requires_grad_())
    (done.z_q.sum() + done.loss).backward()
    assert z.grad.any()


@every_family
def test_gradients_reach_the_latents_and_every_parameter(cfg):
    quantizer, z = built(cfg).train(), latents(64).requires_grad_()
    done = quantizer(z)
    (done.z_q.square().sum() + done.loss).backward()
    for tensor in (z, *quantizer.parameters()):
        assert tensor.grad is not None and tensor.grad.isfinite().all() and tensor.grad.any()


@every_family
def test_half_precision_latents_under_autocast_are_searched_in_single(cfg):
    quantizer = built(cfg).eval()
    if any("projection" in name for name, _ in quantizer.named_parameters()):
        pytest.skip("a linear map, which autocast is free to round")
    z = latents(300).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        done = quantizer(z)
    assert torch.equal(done.codes, quantizer(z.float()).codes)


@every_family
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("n", [3, 40])
@pytest.mark.parametrize("training", [True, False])
def test_latents_that_are_not_finite_are_refused_and_teach_nothing(cfg, value, n, training):
    quantizer, z = built(cfg).train(training), latents(n)
    z[2, 5] = value
    before = copy.deepcopy(quantizer.state_dict())
    with pytest.raises(ValueError, match=rf"1 of {n} latents hold NaN or infinity"):
        quantizer(z)
    assert all(torch.equal(before[name], value) for name, value in quantizer.state_dict().items())
    with pytest.raises(ValueError, match="NaN or infinity"):
        cfg.build(DIM).init_kmeans(torch.cat([latents(400), z]))


@every_family
def test_codes_that_cannot_be_are_refused(cfg):
    quantizer = built(cfg)
    good = torch.zeros(4, quantizer.n_codebooks, dtype=torch.long)
    for at, size in enumerate(quantizer.sizes):
        for wrong in (-1, size):
            codes = good.clone()
            codes[1, at] = wrong
            with pytest.raises(ValueError, match=rf"in codebook {at}, which has codes 0\.\.{size - 1}"):
                quantizer.decode(codes)
    for codes in (good.float(), good[:, :0], torch.cat([good, good], dim=1), torch.tensor(0)):
        with pytest.raises(ValueError, match="want whole numbers"):
            quantizer.decode(codes)


@every_family
def test_latents_of_another_width_are_refused(cfg):
    with pytest.raises(ValueError, match=rf"takes floats \(\.\.\., {DIM}\)"):
        built(cfg)(torch.randn(5, DIM + 1))
    with pytest.raises(ValueError, match="takes floats"):
        built(cfg)(torch.zeros(5, DIM, dtype=torch.long))
    with pytest.raises(ValueError, match="one latent or more"):
        built(cfg)(torch.zeros(0, DIM))
    with pytest.raises(ValueError, match="takes floats"):
        cfg.build(DIM).init_kmeans(torch.randn(400, DIM - 1))


@pytest.mark.parametrize("cfg, other", [("residual", "vq"), ("gumbel", "vq")])
def test_a_file_with_another_codebook_is_refused_by_name_and_shape(cfg, other):
    quantizer = built(FAMILIES[cfg])
    stored = {name: value[..., :5] for name, value in quantizer.state_dict().items()}
    before = copy.deepcopy(quantizer.state_dict())
    with pytest.raises(ValueError, match=r"codes has shape .* in the file .* other settings"):
        quantizer.load_state_dict(stored)
    assert all(torch.equal(before[name], value) for name, value in quantizer.state_dict().items())


@every_family
def test_a_constant_channel_is_no_obstacle(cfg):
    z = latents(400)
    z[:, 3] = 7.0
    if cfg == FAMILIES["product of grids"]:
        z[:, 3] = 7.0 * z[:, 2]  # any two of its four channels must still vary
    done = cfg.build(DIM).init_kmeans(z).eval()(z)
    assert done.z_q.isfinite().all() and (done.z_q - z).square().mean() < z.square().mean()


@pytest.mark.parametrize("name", ["fsq", "lfq"])
def test_a_grid_with_more_axes_than_the_latents_vary_along_is_refused(name):
    z = latents(400) * torch.tensor([1.0, 1, 0, 0, 0, 0, 0, 0])
    with pytest.raises(ValueError, match="vary along 2 directions"):
        FAMILIES[name].build(DIM).init_kmeans(z)


@pytest.mark.parametrize("name", ["vq", "residual", "gumbel", "product"])
def test_more_codes_than_latents_are_refused(name):
    with pytest.raises(ValueError, match="k=16 centres for 9 points"):
        FAMILIES[name].build(DIM).init_kmeans(latents(9))


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: ResidualConfig(n_stages=0), "n_stages=0"),
        (lambda: ResidualConfig(update="sgd"), "update='sgd'"),
        (lambda: ResidualConfig(estimator="copy"), "estimator='copy'"),
        (lambda: ResidualConfig(decay=1.0), "decay=1.0"),
        (lambda: ResidualConfig(size=1).build(4), "two codes"),
        (lambda: FiniteScalarConfig(levels=(8, 2)), "two are signs"),
        (lambda: FiniteScalarConfig(levels=(9,) * 30), "more codes than an integer"),
        (lambda: LookupFreeConfig(n_bits=63), "n_bits=63"),
        (lambda: GumbelConfig(temperature=0.01), "temperature"),
        (lambda: ProductConfig(3).build(8), "cut into 3 equal groups"),
        (lambda: ProductConfig(2, ResidualConfig(2, stage_dropout=True)), "no common codes"),
    ],
)
def test_settings_that_make_no_sense_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
