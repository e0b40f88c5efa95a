"""Known answers of attribution: closed forms, a slow integral, walks counted one by one; answers beside them, out."""

from itertools import pairwise, product

import torch
from torch import Tensor, nn

from neurolib.interpret.attribution.baselines import phase_scrambled
from neurolib.interpret.attribution.checks import (
    block_sums,
    deletion_insertion,
    gain,
    random_curves,
    randomisation_cascade,
)
from neurolib.interpret.attribution.grad_cam import grad_cam
from neurolib.interpret.attribution.hidden_attention import hidden_attention
from neurolib.interpret.attribution.integrated_gradients import (
    PathConfig,
    integrated_gradients,
    layer_integrated_gradients,
)
from neurolib.interpret.attribution.maps import Attribution
from neurolib.interpret.attribution.rollout import attention_rollout
from neurolib.interpret.attribution.simple import input_x_gradient, occlusion
from neurolib.interpret.attribution.tree import axes_of
from neurolib.interpret.selfcheck import Answer, answer
from neurolib.models.multimodal.inputs import ModalityInput
from neurolib.models.multimodal.mixers import S6MixerConfig, SSDMixerConfig

SLOW = 20_000  # steps of the sum that stands for the integral


def known_answers() -> list[Answer]:
    """Ask every method of attribution about a model whose answer is known."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return [*_integrals(), *_sites(), *_walks(), *_scans(), *_checks()]


def _integrals() -> list[Answer]:
    x, other = torch.randn(2, 3, 4, dtype=torch.float64)
    w, q = torch.randn(4, dtype=torch.float64), torch.randn(4, 4, dtype=torch.float64)
    linear = integrated_gradients(lambda z: z @ w, x, other).values["input"]
    square = integrated_gradients(lambda z: ((z @ q) * z).sum(1), x, other).values["input"]
    both = (x - other) * ((x + other) / 2 @ (q + q.T))  # of z' Q z: the slope at the middle of the path
    net = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 8), nn.Softplus(), nn.Linear(8, 1)).double()
    made = integrated_gradients(lambda z: net(z)[:, 0], x, other)
    step = integrated_gradients(
        lambda z: torch.sigmoid(80 * (z.sum(1) - 0.3)), x * 0 + 0.4, cfg=PathConfig(4, 4)
    )

    def mixed(given: dict) -> Tensor:
        emg, pair = given["emg"].values, given["pair"]
        return emg.sum((1, 2)) * pair[0][:, 0] + pair[1].square().sum((1, 2))

    inputs = {
        "emg": ModalityInput.sampled(torch.ones(3, 5, 2), 100.0),
        "pair": (torch.full((3, 1), 2.0), torch.randn(3, 2, 2)),
        "unused": torch.randn(3, 7),
        "id": torch.arange(3),
    }
    joint = integrated_gradients(mixed, inputs)
    return [
        answer("linear: weight times change", (linear - w * (x - other)).abs().max(), 0, 1e-12),
        answer("quadratic: slope in the middle times change", (square - both).abs().max(), 0, 1e-10),
        answer("a network: the sum misses the difference by (share)", _missed(made), 0, 1e-3),
        answer("a network: against a sum of 20,000 steps", _against_slow(net, x, other, made), 0, 1e-6),
        answer("a cliff with four nodes: rows called complete", step.complete.sum(), 0),
        answer(
            "dict: a product of two modalities, half each",
            joint.values["emg/values"].sum((1, 2))[0],
            10,
            1e-4,
        ),
        answer("dict: the other half", joint.values["pair/0"][0, 0], 10, 1e-4),
        answer("dict: the sum misses the difference by (share)", _missed(joint), 0, 1e-3),
        answer("dict: what is not used gets", joint.values["unused"].abs().max(), 0),
    ]


def _missed(made: Attribution) -> Tensor:
    return (made.error / made.difference.abs()).max()


def _against_slow(net: nn.Module, x: Tensor, other: Tensor, made: Attribution) -> Tensor:
    total = torch.zeros_like(x)
    for part in ((torch.arange(SLOW, dtype=torch.float64) + 0.5) / SLOW).split(2000):
        at = (other + part[:, None, None] * (x - other)).requires_grad_()
        total += torch.autograd.grad(net(at).sum(), at)[0].sum(0) / SLOW
    return ((x - other) * total - made.values["input"]).abs().max()


def _sites() -> list[Answer]:
    table = nn.Sequential(nn.Embedding(5, 3), nn.Flatten(), nn.Linear(6, 1, bias=False)).double()
    ids = torch.tensor([[0, 3], [4, 4]])
    made = layer_integrated_gradients(table, ids, "0", lambda given: table(given)[:, 0]).values["0"]
    wanted = table[0].weight[ids] * table[2].weight.view(2, 3)
    conv = nn.Sequential(nn.Conv1d(2, 3, 3, padding=1), nn.Flatten(), nn.Linear(3 * 6, 1)).double()
    x = torch.randn(4, 2, 6, dtype=torch.float64)
    cam = grad_cam(conv, x, "0", lambda given: conv(given)[:, 0], signed=True, feature=1).values["0"]
    by_hand = torch.einsum("k,bkt->bt", conv[2].weight.view(3, 6).mean(1), conv[0](x))
    ways = {"occlusion": occlusion, "input x gradient": input_x_gradient}
    w = torch.randn(6, dtype=torch.float64)
    flat, low = x[:, 0], torch.randn(4, 6, dtype=torch.float64)
    errors = {
        name: (way(lambda z: z @ w, flat, low).values["input"] - w * (flat - low)).abs().max()
        for name, way in ways.items()
    }
    return [
        answer("ids: vector times weight, at the embedding", (made - wanted.detach()).abs().max(), 0, 1e-12),
        answer("Grad-CAM of a linear read-out", (cam - by_hand.detach()).abs().max(), 0, 1e-12),
        *(
            answer(f"linear: {name} is weight times change", error, 0, 1e-12)
            for name, error in errors.items()
        ),
    ]


def _walks() -> list[Answer]:
    """Rollout against the chance of every walk through three layers of four tokens, counted one by one."""
    layers = torch.randn(3, 4, 4, dtype=torch.float64).softmax(-1)
    counted = torch.zeros(4, 4, dtype=torch.float64)
    for walk in product(range(4), repeat=4):  # from the last layer down
        chance = 1.0
        for layer, (here, there) in zip(reversed(layers), pairwise(walk), strict=True):
            chance = chance * (0.5 * (here == there) + 0.5 * layer[here, there])
        counted[walk[0], walk[-1]] += chance
    return [answer("rollout: all walks", (attention_rollout(list(layers)) - counted).abs().max(), 0, 1e-12)]


@torch.no_grad()
def _scans() -> list[Answer]:
    answers, x = [], torch.randn(2, 9, 8, dtype=torch.float64)
    settings = {
        "SSD": SSDMixerConfig(head=4, n_state=4),
        "S6": S6MixerConfig(n_state=4),
        "S6, zoh": S6MixerConfig(n_state=4, discretisation="zoh"),
    }
    for name, cfg in settings.items():
        mixer = cfg.build(8).double()
        made, given = hidden_attention(mixer, x), mixer(x)[0].detach()
        without = hidden_attention(mixer, x, skip=False)
        bare = mixer.attention_map(x) if name == "SSD" else mixer.attention_map(x)[:, None]
        mean = without.matrix if name == "SSD" else without.matrix.mean(1, keepdim=True)
        later = made.matrix.triu(1).abs().max()
        answers += [
            answer(f"{name}: |output - matrix times inputs|", (made.output - given).abs().max(), 0, 1e-9),
            answer(f"{name}: |matrix - attention_map| without the skip", (mean - bare).abs().max(), 0, 1e-9),
            answer(f"{name}: taken from later steps", later, 0),
        ]
    return answers


def _checks() -> list[Answer]:
    w, x = torch.randn(8), torch.rand(20, 8) + 0.5

    def score(z: Tensor) -> Tensor:
        return z @ w

    made = integrated_gradients(score, x)
    curves = deletion_insertion(score, x, block_sums(made), n_steps=8)
    parts = (w * x) * torch.where(x @ w < 0, -1.0, 1.0)[:, None]
    gone = parts.sum(1, keepdim=True) - parts.sort(1, descending=True).values.cumsum(1)
    closed = torch.cat([parts.sum(1, keepdim=True), gone], 1) / parts.sum(1).mean()
    better = gain(curves, random_curves(score, x, 8, n_steps=8))
    worse = gain(
        deletion_insertion(score, x, -block_sums(made), n_steps=8), random_curves(score, x, 8, n_steps=8)
    )
    net = nn.Sequential(nn.Linear(8, 32), nn.Tanh(), nn.Linear(32, 1))
    edges = randomisation_cascade(net, lambda _: Attribution({"x": x}, {"x": axes_of(x)}))
    slopes = randomisation_cascade(net, lambda model: integrated_gradients(lambda z: model(z)[:, 0], x))
    wave = torch.randn(2, 64, 3, dtype=torch.float64)
    power = [torch.fft.rfft(z, dim=1).abs() for z in (wave, phase_scrambled(wave))]
    return [
        answer("deletion of a linear model", (torch.tensor(curves.deletion) - closed).abs().max(), 0, 1e-5),
        answer("rows where the true map loses to random order", (better.deletion < 0).sum(), 0),
        answer("rows where its reverse wins", (worse.insertion > 0).sum(), 0),
        answer("a map of the input alone passes randomisation", edges.passes(), 0),
        answer("integrated gradients pass it", slopes.passes(), 1),
        answer("scrambled phases keep power", (power[0] - power[1]).abs().max(), 0, 1e-9),
    ]
