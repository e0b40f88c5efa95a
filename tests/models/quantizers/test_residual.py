"""Vector and residual vector quantization against loops in float64 and, where installed, a widely used package."""

import numpy as np
import pytest
import torch
from torch import nn

from neurolib.models.quantizers.residual import ResidualConfig

DIM, SIZE, STAGES = 6, 16, 3
MOVERS = {
    "k-means": lambda q, z: q.init_kmeans(3 * latents()),
    "a training step": lambda q, z: q.train()(4 * z + 1),
    "a file": lambda q, z: q.load_state_dict({name: 2 * value for name, value in q.state_dict().items()}),
    "in place": lambda q, z: q.codes.mul_(2),
    "another tensor": lambda q, z: setattr(q, "codes", 2 * q.codes),
    "another precision": lambda q, z: q.codes.mul_(2) is None or q.double(),
}


def latents(n=600, seed=0, dim=DIM):
    draw = np.random.default_rng(seed)
    return torch.tensor(np.tanh(draw.standard_normal((n, 3)) @ draw.standard_normal((3, dim))))


def built(z=None, double=True, **settings):
    torch.manual_seed(0)
    quantizer = ResidualConfig(**{"n_stages": STAGES, "size": SIZE} | settings).build(DIM)
    z = latents() if z is None else z
    return (quantizer.double() if double else quantizer).init_kmeans(z)


def slow_pass(z, books):
    """Codes, what comes to each stage, and what is left after the last, latent by latent."""
    codes, rests = [], [z.copy()]
    for book in books:
        rest = rests[-1]
        codes.append([int(np.argmin([((row - code) ** 2).sum() for code in book])) for row in rest])
        rests.append(rest - book[codes[-1]])
    return np.array(codes).T, rests


def slow_means(z, books, counts, sums, decay=0.99):
    """One step of running counts and sums as they are usually written down; books, counts, sums."""
    codes, rests = slow_pass(z, books)
    new = []
    for stage in range(len(books)):
        rows = [rests[stage][codes[:, stage] == k] for k in range(books.shape[1])]
        count = decay * counts[stage] + (1 - decay) * np.array([len(row) for row in rows])
        total = decay * sums[stage] + (1 - decay) * np.array([row.sum(axis=0) for row in rows])
        new.append((total / count[:, None], count, total))
    return [np.array(part) for part in zip(*new, strict=True)]


def mse(quantizer, z):
    training = quantizer.training
    error = float((quantizer.eval()(z).z_q - z).square().mean())
    quantizer.train(training)
    return error


# Codes


@pytest.mark.parametrize("n", [3, 40, 1500])
@pytest.mark.parametrize("n_stages", [1, 4])
def test_codes_are_those_of_a_loop_over_stages_latents_and_codes(n, n_stages):
    quantizer, z = built(n_stages=n_stages).eval(), latents(n, seed=1)
    done = quantizer(z)
    codes, rests = slow_pass(z.numpy(), quantizer.codes.numpy())
    np.testing.assert_array_equal(done.codes, codes)
    np.testing.assert_allclose(done.z_q, z.numpy() - rests[-1], atol=1e-12)
    errors = [(rest**2).mean() for rest in rests[1:]]
    np.testing.assert_allclose(done.diagnostics["stage_mse"], errors, rtol=1e-9)
    assert float(done.loss) == pytest.approx(0.25 * np.mean(errors), rel=1e-9)


@pytest.mark.parametrize("n", [3, 40, 3000])
def test_in_single_precision_the_code_is_the_nearest_but_for_rounding(n):
    quantizer, z = built(double=False).eval(), latents(n, seed=1).float()
    rest = z.double()
    for book, codes in zip(quantizer.codes.double(), quantizer(z).codes.T, strict=True):
        distances = torch.cdist(rest, book, compute_mode="donot_use_mm_for_euclid_dist").square()
        assert (distances[range(n), codes] <= distances.amin(dim=1) + 1e-6).all()
        rest = rest - book[codes]


def test_the_first_stages_alone_are_a_prefix_and_decode():
    quantizer, z = built().eval(), latents(50, seed=1)
    whole, part = quantizer(z), quantizer.quantize(z, n_stages=2)
    assert torch.equal(part.codes, whole.codes[:, :2])
    assert torch.equal(quantizer.decode(part.codes), part.z_q)
    for n_stages in (0, STAGES + 1):
        with pytest.raises(ValueError, match=f"n_stages={n_stages} of a quantizer with 3"):
            quantizer.quantize(z, n_stages=n_stages)


def test_a_wide_beam_finds_the_best_of_all_combinations_and_a_narrow_one_no_worse_than_greedy():
    z = latents(80, seed=1)
    greedy, wide, narrow = (built(n_stages=2, beam=beam).eval() for beam in (1, SIZE, 3))
    assert torch.equal(greedy.codes, wide.codes)
    first, second = wide.codes
    pairs = (first[:, None] + second).flatten(0, 1)
    best = torch.cdist(z, pairs).argmin(dim=1)
    assert torch.equal(wide(z).codes, torch.stack([best // SIZE, best % SIZE], dim=1))
    assert mse(wide, z) < mse(narrow, z) < mse(greedy, z)


@pytest.mark.parametrize("move", MOVERS.values(), ids=MOVERS)
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("n", [3, 300])
def test_no_search_outlives_the_codebook_it_was_made_for(move, mode, n):
    quantizer, z = built().eval(), latents(n, seed=1)
    quantizer(z)
    with mode():
        move(quantizer, z)
    quantizer.eval()
    codes, _ = slow_pass(z.numpy(), quantizer.codes.detach().numpy())
    np.testing.assert_array_equal(quantizer(z.to(quantizer.codes)).codes, codes)


@pytest.mark.parametrize("update", ["gradient", "linear"])
def test_no_search_outlives_an_optimiser_step(update):
    quantizer, z = built(update=update).eval(), latents(300, seed=1)
    optimiser = torch.optim.Adam(quantizer.parameters(), lr=0.1, fused=True)  # changes no version counter
    quantizer(z).loss.backward()
    with torch.no_grad():
        quantizer(z)
    optimiser.step()
    codes, _ = slow_pass(z.numpy(), quantizer.codebooks.detach().numpy())
    np.testing.assert_array_equal(quantizer.eval()(z).codes, codes)


def test_inference_mode_gives_the_same_and_spoils_no_later_training():
    quantizer, z = built(update="gradient").eval(), latents(300, seed=1)
    outside = quantizer(z)
    with torch.inference_mode():
        inside = quantizer(z)
    assert torch.equal(inside.codes, outside.codes) and torch.equal(inside.z_q, outside.z_q)
    done = quantizer.train()(z.requires_grad_())
    (done.loss + done.z_q.sum()).backward()
    assert z.grad.any() and quantizer.codes.grad.any()


# Running means


def test_running_means_are_those_of_a_loop():
    quantizer = built(dead_below=0.0).train()
    books = quantizer.codes.numpy().copy()
    counts = 200 * quantizer.shares.numpy()
    sums = counts[..., None] * books
    for seed in (1, 2, 3):
        z = latents(200, seed)
        books, counts, sums = slow_means(z.numpy(), books, counts, sums)
        quantizer(z)
        np.testing.assert_allclose(quantizer.codes, books, atol=1e-10)
        np.testing.assert_allclose(quantizer.shares, counts / 200, atol=1e-12)


def test_k_means_hands_over_true_shares_so_that_a_step_changes_the_error_by_less_than_two_per_cent():
    quantizer, z = built().train(), latents()
    for stage, codes in zip(quantizer.shares, quantizer.eval()(z).codes.T, strict=True):
        np.testing.assert_allclose(stage, np.bincount(codes, minlength=SIZE) / len(z), atol=0.01)
    before = mse(quantizer, z)
    quantizer.train()(z)
    assert mse(quantizer, z) == pytest.approx(before, rel=0.02)


def test_counts_of_zero_beside_sums_wreck_a_codebook_and_cannot_be_stored_here():
    quantizer, z = built(n_stages=1, dead_below=0.0).train(), latents()
    before, books = mse(quantizer, z), quantizer.codes.numpy().copy()
    wreck, _, _ = slow_means(z.numpy(), books, np.zeros((1, SIZE)), books.copy())
    assert (slow_pass(z.numpy(), wreck)[1][1] ** 2).mean() > 5 * before
    quantizer.shares.zero_()
    quantizer(z)
    assert mse(quantizer, z) < 1.02 * before


@pytest.mark.parametrize("stage", range(STAGES))
@pytest.mark.parametrize("update", ["ema", "gradient"])
def test_a_dead_code_comes_back_to_where_latents_are_and_survives_the_next_updates(stage, update):
    quantizer, z = built(update=update).train(), latents()
    with torch.no_grad():
        quantizer.codes[stage, 5] = 1e3
    quantizer.shares[stage, 5] = 0
    assert int(quantizer(z).diagnostics["revived"]) == 1
    revived = quantizer.codes.detach()[stage, 5].clone()
    assert revived.abs().max() < 5
    for _ in range(3):
        done = quantizer(z)
        assert int(done.diagnostics["revived"]) == 0 and (done.codes[:, stage] == 5).any()
    torch.testing.assert_close(quantizer.codes.detach()[stage, 5], revived, atol=0.1, rtol=0)


def test_more_dead_codes_than_latents_leave_some_for_later():
    quantizer = built().train()
    quantizer.shares.zero_()
    quantizer.codes += 1e3
    quantizer(latents(4, seed=1))
    assert int((quantizer.codes.abs().amax(dim=2) < 900).sum(dim=1).max()) <= 5
    assert quantizer.codes.isfinite().all()


@pytest.mark.parametrize("update", ["frozen", "linear"])
def test_codes_that_are_not_learned_stay_and_are_no_parameters(update):
    quantizer = built(update=update).train()
    before = quantizer.codes.clone()
    quantizer.shares.fill_(1e-9)
    quantizer(latents(100, seed=1))
    assert torch.equal(quantizer.codes, before)
    assert [name for name, _ in quantizer.named_parameters()] == ["map"] * (update == "linear")


def test_simvq_moves_all_codes_together_even_those_that_no_latent_chose():
    quantizer, z = built(n_stages=1, update="linear").train(), latents()[:8]
    before, at = quantizer.codebooks.detach(), quantizer(z).codes.unique()
    optimiser = torch.optim.SGD(quantizer.parameters(), lr=0.1)
    losses = []
    for _ in range(20):
        optimiser.zero_grad()
        loss = quantizer(z).loss
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.8 * losses[0] and len(at) < SIZE
    assert ((quantizer.codebooks - before).abs().amax(dim=2) > 1e-3).all()


def test_stage_dropout_draws_every_number_of_stages_and_teaches_only_those():
    quantizer, z = built(stage_dropout=True).train(), latents(100, seed=1)
    drawn = set()
    for _ in range(30):
        before = quantizer.shares.clone()
        n_stages = quantizer(z).codes.shape[1]
        moved = (quantizer.shares != before).any(dim=1)
        assert moved.tolist() == [stage < n_stages for stage in range(STAGES)]
        drawn.add(n_stages)
    assert drawn == {1, 2, 3}
    assert quantizer.eval()(z).codes.shape[1] == STAGES


# Gradients


def jacobian(quantizer, row):
    return torch.autograd.functional.jacobian(lambda z: quantizer(z[None]).z_q[0], row)


@pytest.mark.parametrize("n_stages", [1, 2, 4])
@pytest.mark.parametrize("training", [True, False])
def test_straight_through_all_stages_the_jacobian_is_the_identity(n_stages, training):
    quantizer = built(n_stages=n_stages).train(training)
    assert torch.equal(jacobian(quantizer, latents(1, seed=1)[0]), torch.eye(DIM, dtype=torch.float64))


def test_the_rotation_is_that_of_the_matrix_formula_and_takes_the_latent_onto_its_code():
    quantizer = built(estimator="rotation").eval()
    for row in latents(5, seed=1):
        z_q = quantizer(row).z_q
        z, e = row / row.norm(), z_q / z_q.norm()
        r = (z + e) / (z + e).norm()
        eye = torch.eye(DIM, dtype=torch.float64)
        turn = (eye - 2 * torch.outer(r, r) + 2 * torch.outer(e, z)) * z_q.norm() / row.norm()
        torch.testing.assert_close(turn @ row, z_q)
        torch.testing.assert_close(jacobian(quantizer, row), turn)


def test_the_commitment_of_every_stage_reaches_the_latents_and_points_at_its_code():
    quantizer, z = built().eval(), latents(40, seed=1).requires_grad_()
    before = torch.zeros_like(z)
    for n_stages in range(1, STAGES + 1):
        done = quantizer.quantize(z, n_stages=n_stages)
        (total,) = torch.autograd.grad(n_stages * done.loss, z)
        left = (z - done.z_q).detach()
        torch.testing.assert_close(before - total, -0.25 * 2 * left / z.numel(), atol=1e-12, rtol=1e-9)
        before = total


@pytest.mark.parametrize("update", ["gradient", "linear"])
@pytest.mark.parametrize("training", [True, False])
def test_gradients_of_the_loss_are_those_of_the_loss_written_out(update, training):
    quantizer, z = built(update=update).train(training), latents(60, seed=1).requires_grad_()
    if update == "linear":
        with torch.no_grad():
            quantizer.map += 0.1 * torch.randn_like(quantizer.map)
    tensors = [z, *quantizer.parameters()]
    books, rest, terms = quantizer.codebooks, z, []
    done = quantizer(z)
    for book, codes in zip(books, done.codes.T, strict=True):
        code = book[codes]
        terms.append(0.25 * nn.functional.mse_loss(rest, code.detach()))
        terms.append(nn.functional.mse_loss(code, rest.detach()))
        rest = rest - code.detach()
    loss = sum(terms) / STAGES
    torch.testing.assert_close(done.loss, loss)
    for ours, theirs in zip(*(torch.autograd.grad(x, tensors) for x in (done.loss, loss)), strict=True):
        torch.testing.assert_close(ours, theirs)


# One latent at a time


@pytest.mark.parametrize("update", ["ema", "linear"])
def test_a_stream_gives_the_codes_and_latents_of_the_module_and_learns_no_more(update):
    quantizer, z = built(double=False, update=update).eval(), latents(30, seed=1).float()
    stream, done = quantizer.stream(), quantizer(z)
    quantizer.init_kmeans(-latents())
    for row, codes, z_q in zip(z.numpy(), done.codes.numpy(), done.z_q.detach().numpy(), strict=True):
        np.testing.assert_array_equal(stream.encode(row), codes)
        np.testing.assert_array_equal(stream.decode(codes), z_q)


@pytest.mark.parametrize("z", [np.zeros(DIM + 1), np.zeros((1, DIM)), np.full(DIM, np.nan)])
def test_a_stream_refuses_what_is_no_latent(z):
    with pytest.raises(ValueError, match=r"want \(6,\), finite"):
        built().stream().encode(z)


@pytest.mark.parametrize("codes", [[0, 0], [0, 0, SIZE], [-1, 0, 0], [0.0, 0.0, 0.0]])
def test_a_stream_refuses_codes_that_cannot_be(codes):
    with pytest.raises(ValueError, match="want 3 whole numbers from 0 to 15"):
        built().stream().decode(codes)


# The package


@pytest.fixture(scope="module")
def package():
    return pytest.importorskip("vector_quantize_pytorch")


@pytest.mark.parametrize("n_stages", [1, 4])
def test_codes_are_those_of_the_package(package, n_stages):
    quantizer, z = built(double=False, n_stages=n_stages).eval(), latents(2000, seed=1).float()
    theirs = package.ResidualVQ(dim=DIM, num_quantizers=n_stages, codebook_size=SIZE).eval()
    for layer, book in zip(theirs.layers, quantizer.codes, strict=True):
        layer.codebook = book
    z_q, codes, _ = theirs(z)
    done = quantizer(z)
    assert torch.equal(done.codes, codes)
    torch.testing.assert_close(done.z_q, z_q)


@pytest.mark.parametrize("rotation", [True, False])
def test_a_training_step_of_one_stage_is_that_of_the_package(package, rotation):
    z = latents(500, seed=1).float().requires_grad_()
    above = torch.randn(500, DIM)
    estimator = "rotation" if rotation else "straight_through"
    quantizer = built(double=False, n_stages=1, estimator=estimator, dead_below=0.0).train()
    theirs = package.VectorQuantize(
        DIM, SIZE, decay=0.99, commitment_weight=0.25, rotation_trick=rotation, eps=1e-12
    ).train()
    theirs.codebook = quantizer.codes[0]
    theirs._codebook.cluster_size.copy_(500 * quantizer.shares)
    theirs._codebook.embed_avg.copy_(500 * quantizer.shares[..., None] * quantizer.codes)
    done = quantizer(z)
    z_q, codes, loss = theirs(z)
    torch.testing.assert_close(done.loss, loss.squeeze())
    grads = [
        torch.autograd.grad([x, y], z, [above, torch.ones_like(y)])[0]
        for x, y in ((done.z_q, done.loss), (z_q, loss))
    ]
    torch.testing.assert_close(*grads, atol=1e-5, rtol=1e-4)
    assert torch.equal(done.codes[:, 0], codes)
    torch.testing.assert_close(quantizer.codes, theirs._codebook.embed, atol=1e-5, rtol=1e-4)
