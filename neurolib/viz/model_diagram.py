"""The multimodal model as a diagram that answers to hover and tap: a run of the model in, HTML out.

Shapes are recorded by hooks while the model runs, and parameters are counted; nothing is typed. The HTML needs
neither a kernel nor a network: what it shows first is in the markup, and a few lines of JavaScript change it.
"""

import html
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from neurolib.models.multimodal.inputs import ModalityInput, Tokens
from neurolib.models.multimodal.network import MultimodalModel
from neurolib.viz.diagram_page import CSS, JS

# what a stage does, in the order of the diagram; sizes are not said here, they are recorded
STAGES: dict[str, tuple[str, str]] = {
    "tokens": (
        "tokens of all signals",
        "Tokens of all signals stand in one sequence. The vector of the modality is added to each; its time is "
        "kept beside it and enters attention as a rotation.",
    ),
    "enter": (
        "latents read tokens",
        "Latents stand on a grid: steps of time, and several slots at each. Each reads the tokens near it in time "
        "by attention. A missing signal has no tokens, and nothing else changes.",
    ),
    "process": (
        "latents talk",
        "Layers of attention among all latents of the window, each with a feed-forward part.",
    ),
    "backbone": (
        "state spaces along time",
        "Each slot is scanned along time by a selective state space; between scans the slots of one moment mix. "
        "Latents have a time, so the scan runs over time.",
    ),
    "pool": (
        "seed queries",
        "Learned queries read all latents and give a fixed number of vectors, and one for the whole window.",
    ),
    "read": (
        "queries in time",
        "A query asks for a moment and reads the latents around it. The same layer serves behaviour at any time "
        "and every signal at its own samples.",
    ),
    "decoder": ("behaviour", "Behaviour at the times that were asked for."),
    "encoder": (
        "signals again",
        "Every signal read out at its own samples and channels; a channel is asked for by its vector. Rates for "
        "spikes, values for the rest.",
    ),
    "contrastive": ("embedding", "A vector of length one for each window, to be compared with other views."),
    "forecast": ("forecast", "States at several horizons after the window, for the same read-outs."),
    "domain": (
        "species",
        "Which species it was. Gradients are reversed, so that latents learn not to tell.",
    ),
}
PARTS = ("identity", "tokenizers", "perceiver", "backbone", "pool", "read-outs", "heads")
_PART_OF = {  # children and own parameters of the model
    "channels": "identity",
    "recordings": "identity",
    "modality": "identity",
    "tokenizers": "tokenizers",
    "perceiver": "perceiver",
    "backbone": "backbone",
    "norm": "backbone",
    "pool": "pool",
    "widen": "pool",
    "ask_behaviour": "read-outs",
    "ask_signal": "read-outs",
    "within_patch": "read-outs",
    "decoder": "read-outs",
    "encoders": "read-outs",
    "contrast": "heads",
    "forecaster": "heads",
    "domain": "heads",
}
DIAGRAM = re.compile(r"[a-z][a-z0-9-]*")


@dataclass(frozen=True)
class Stage:
    """What one stage did in a run.

    Parameters
    ----------
    label, about : str
    takes, gives : str
        Shapes.
    parameters : int
    """

    label: str
    about: str
    takes: str
    gives: str
    parameters: int


def shape(value: Any) -> str:
    """The shape of a tensor, or of what holds one, as text.

    Examples
    --------
    >>> shape(torch.zeros(2, 3)), shape((torch.zeros(1), torch.zeros(4, 1)))
    ('2 × 3', '1 and 4 × 1')
    """
    if isinstance(value, Tokens):
        return shape(value.tokens)
    if isinstance(value, ModalityInput):
        return shape(value.values if value.values is not None else value.event_time)
    if isinstance(value, tuple | list):
        return " and ".join(shape(one) for one in value)
    return " × ".join(map(str, value.shape)) if isinstance(value, Tensor) else type(value).__name__


def count(*modules: nn.Module | nn.Parameter | None, without: frozenset[int] = frozenset()) -> int:
    """Parameters, each once, without those whose ``id`` is named."""
    found = {}
    for module in modules:
        own = [module] if isinstance(module, nn.Parameter) else module.parameters() if module else []
        found |= {id(p): p.numel() for p in own if id(p) not in without}
    return sum(found.values())


def parameters_by_part(model: MultimodalModel) -> dict[str, int]:
    """Parameters of each part, which sum to those of the model.

    Vectors of channels count as identity, although tokenizers and read-outs hold them, too.

    Examples
    --------
    >>> from neurolib.models.multimodal.network import MultimodalConfig
    >>> model = MultimodalConfig.preset("tiny", modalities=("spike",)).build()
    >>> sum(parameters_by_part(model).values()) == sum(p.numel() for p in model.parameters())
    True
    """
    total = dict.fromkeys(PARTS, 0)
    for name, parameter in model.named_parameters():  # each once, under its first name: channels come first
        total[_PART_OF[name.split(".")[0]]] += parameter.numel()
    return total


@torch.no_grad()
def record(
    model: MultimodalModel, signals: Mapping[str, Tensor | ModalityInput], **call: Any
) -> dict[str, Stage]:
    """Run a model and note what every stage took, gave and holds.

    Parameters
    ----------
    model : MultimodalModel
    signals : dict
        As for ``model(signals)``.
    **call
        Further arguments of the call, such as ``species_labels``.

    Returns
    -------
    dict of Stage
        One per signal, then those of ``STAGES`` that ran.
    """
    seen: dict[str, list[tuple[str, str]]] = {}
    perceiver = model.perceiver
    watched = {f"tokenize {name}": model.tokenizers[name] for name in signals}
    watched |= {f"encode {name}": model.encoders[name] for name in signals}
    watched |= {"enter": perceiver.enter, "read": perceiver.leave, "backbone": model.backbone}
    watched |= {f"process {i}": layer for i, layer in enumerate(perceiver.process)}
    watched |= {"pool": model.pool, "decoder": model.decoder, "contrastive": model.contrast}
    watched |= {"forecast": model.forecaster} | ({"domain": model.domain} if model.domain else {})

    def noting(name: str):
        def note(module, given, made):
            takes = given[2] if name == "enter" else given[0]  # latents come first, then what they read
            seen.setdefault(name, []).append((shape(takes), shape(getattr(made, "logits", made))))

        return note

    hooks = [module.register_forward_hook(noting(name)) for name, module in watched.items()]
    before = model.training
    try:
        out = model.eval()(signals, **call)
    finally:
        model.train(before)
        for hook in hooks:
            hook.remove()
    return _stages(model, list(model.inputs(signals)), seen, out)


def _stages(model, names, seen, out) -> dict[str, Stage]:
    identity = frozenset(id(p) for p in model.channels.parameters())
    found = {}
    for name in names:
        takes, gives = seen[f"tokenize {name}"][0]
        rate = f"{model.rate_hz(name):.4g}"
        about = f"{type(model.tokenizers[name]).__name__}: windows × samples at {rate} Hz × channels in, windows × tokens × width out."
        size = count(model.tokenizers[name], without=identity)
        found[name] = Stage(name, about, takes, gives, size)
    layers = [key for key in seen if key.startswith("process ")]
    enter, grid = seen["enter"][0], shape(out["aux"]["grid"])
    shared = (model.perceiver.slot, model.perceiver.enter)
    queries = (model.ask_behaviour, model.ask_signal, model.within_patch, model.perceiver.leave)
    encoded = {name: seen[f"encode {name}"][0] for name in names if f"encode {name}" in seen}
    flows = {
        "tokens": ("", enter[0], count(model.modality, model.recordings, model.channels)),
        "enter": (*enter, count(*shared)),
        "process": (
            (seen[layers[0]][0][0], seen[layers[-1]][0][1], count(model.perceiver.process))
            if layers
            else None
        ),
        "backbone": (*seen["backbone"][0], count(model.backbone, model.norm)),
        "pool": (grid, f"{shape(out['latents'])} and {shape(out['pooled'])}", count(model.pool, model.widen)),
        "read": (grid, "; ".join(dict.fromkeys(gives for _, gives in seen.get("read", []))), count(*queries)),
        "decoder": (*seen["decoder"][0], count(model.decoder)) if "decoder" in seen else None,
        "encoder": (
            "; ".join(f"{name} {takes}" for name, (takes, _) in encoded.items()),
            "; ".join(f"{name} {gives}" for name, (_, gives) in encoded.items()),
            count(model.encoders, without=identity),
        )
        if encoded
        else None,
        "contrastive": (*seen["contrastive"][0], count(model.contrast)) if "contrastive" in seen else None,
        "forecast": (*seen["forecast"][0], count(model.forecaster)) if "forecast" in seen else None,
        "domain": (*seen["domain"][0], count(model.domain)) if "domain" in seen else None,
    }
    for key, flow in flows.items():
        if flow is not None:
            found[key] = Stage(*STAGES[key], *flow)
    return found


def page_html(name: str, presets: Mapping[str, Mapping[str, Stage]], simulated: bool = False) -> str:
    """The diagram as a fragment of HTML.

    Parameters
    ----------
    name : str
        Becomes its id.
    presets : dict of dict of Stage
        A run per preset, with the same stages; the first is shown.
    simulated : bool
        Whether to say SIMULATED.

    Raises
    ------
    ValueError
        If the name will not do as an id, or presets differ in their stages.
    """
    if not DIAGRAM.fullmatch(name):
        raise ValueError(f"{name!r}: use small letters, digits and dashes; it becomes an id on the page")
    runs = list(presets.values())
    if not runs or any(list(run) != list(runs[0]) for run in runs):
        raise ValueError(f"{name}: presets must have the same stages, and there must be one")
    first = runs[0]
    signals = [key for key in first if key not in STAGES]
    heads = [key for key in ("decoder", "encoder", "contrastive", "forecast", "domain") if key in first]
    middle = [[key] for key in ("tokens", "enter", "process", "backbone") if key in first]
    rows = [signals, *middle, ["pool", "read"], heads]
    total = sum(stage.parameters for stage in first.values())
    body = '<div class="md-flow" aria-hidden="true"></div>'.join(
        f'<div class="md-row" style="--n:{len(row)}">{"".join(_box(key, first[key], total) for key in row)}</div>'
        for row in rows
    )
    buttons = "".join(
        f'<button type="button" class="md-preset" data-preset="{html.escape(key)}" '
        f'aria-pressed="{"true" if i == 0 else "false"}">{html.escape(key)}</button>'
        for i, key in enumerate(presets)
    )
    start = "enter"
    mark = '<span class="md-simulated">SIMULATED</span>' if simulated else ""
    data = {
        preset: {key: [s.takes, s.gives, s.parameters] for key, s in run.items()}
        for preset, run in presets.items()
    }
    data = {"presets": data, "about": {key: [s.label, s.about] for key, s in first.items()}}
    text = json.dumps(data).replace("<", "\\u003c")
    return (
        f'<style>{CSS}</style><div class="model-diagram" id="{name}"><div class="md-top">'
        f'<span role="group" aria-label="preset">{buttons}</span><span class="md-total">{_number(total)} '
        f"parameters</span>{mark}</div>{body}"
        f'<div class="md-detail" role="status" aria-live="polite">{_detail(first[start], total)}</div>'
        f'<script type="application/json">{text}</script></div><script>({JS})("{name}", "{start}")</script>'
    )


def show(name: str, presets: Mapping[str, Mapping[str, Stage]], simulated: bool = False) -> None:
    """Display :func:`page_html` on a page or in JupyterLab."""
    from IPython.display import display

    text = page_html(name, presets, simulated)
    display({"text/html": text, "text/plain": f"[diagram {name}]"}, raw=True)


def _box(key: str, stage: Stage, total: int) -> str:
    share = 100 * stage.parameters / max(total, 1)
    return (
        f'<button type="button" class="md-box" data-stage="{key}"><b>{html.escape(stage.label)}</b>'
        f'<span class="md-shape">{_short(stage.gives)}</span>'
        f'<span class="md-share" title="share of the parameters"><i style="width:{share:.1f}%"></i></span></button>'
    )


def _detail(stage: Stage, total: int) -> str:
    rows = [("takes", stage.takes), ("gives", stage.gives)]
    rows += [("parameters", f"{_number(stage.parameters)}, {100 * stage.parameters / max(total, 1):.1f} %")]
    cells = "".join(f"<dt>{k}</dt><dd>{html.escape(v)}</dd>" for k, v in rows if v)
    return f"<p><b>{html.escape(stage.label)}</b></p><p>{html.escape(stage.about)}</p><dl>{cells}</dl>"


def _short(gives: str) -> str:
    parts = gives.split("; ")
    return html.escape(parts[0] if len(parts) == 1 else f"{len(parts)} shapes")


def _number(n: int) -> str:
    return f"{n:,}".replace(",", "\u202f")
