"""Models of Hugging Face, without their package: a model and its inputs in, its layers and attention weights out.

Layers are ``(stimulus, channel)``, weights ``(stimulus, head, query, key)``.

Works on whatever returns an output with ``hidden_states`` and ``attentions``. What is asked for is asked in the call,
so the configuration of the model stays as it was. To read or change one module of such a model, give its path to
:func:`neurolib.interpret.activations.record` or ``patch``.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from neurolib.alignment.captures import Capture, CaptureConfig, capture
from neurolib.interpret.activations import patch
from neurolib.models.sites import Site, Tap

PARTS = ("", "encoder", "decoder")


def hidden_states(
    model: nn.Module,
    inputs: Mapping[str, ArrayLike | Tensor],
    names: Iterable[str] | None = None,
    cfg: CaptureConfig | None = None,
    *,
    part: str = "",
    model_name: str = "",
) -> Capture:
    """Hidden states of all layers, as :func:`~neurolib.alignment.captures.capture` gives them.

    Parameters
    ----------
    model : nn.Module
        Such as ``AutoModel.from_pretrained(...)``; in evaluation mode meanwhile.
    inputs : mapping
        What a tokenizer or processor returns: tensors with stimuli first, given to the model by keyword. Its
        ``attention_mask``, if it has one, says which tokens exist.
    names : iterable of str, optional
        Of the stimuli.
    cfg : CaptureConfig, optional
        How tokens become one row.
    part : {"", "encoder", "decoder"}
        Of a model that has both.
    model_name : str

    Returns
    -------
    Capture
        Layers ``embedding``, ``layer.1``, ``layer.2`` and so on. Many models give the last one after their
        last norm, which the others have not passed.

    Raises
    ------
    ValueError
        If the model gives no hidden states.
    """
    _known(part)
    cfg = cfg or CaptureConfig()
    tensors = _tensors(model, inputs)
    first = {key: value[:1] for key, value in tensors.items()}
    wrapped = _HiddenStates(model, f"{part}_" * bool(part) + "hidden_states")
    wrapped.count(first)
    key = "decoder_attention_mask" if part == "decoder" else "attention_mask"
    mask = tensors.get(key)
    mask = mask.cpu().numpy() if mask is not None and mask.dim() == 2 else None
    return capture(wrapped, tensors, names, cfg=cfg, mask=mask, model_name=model_name or type(model).__name__)


def attentions(
    model: nn.Module, inputs: Mapping[str, ArrayLike | Tensor], *, part: str = ""
) -> tuple[NDArray, ...]:
    """Attention weights of all layers for one batch.

    Parameters
    ----------
    model : nn.Module
        In evaluation mode meanwhile.
    inputs : mapping
        As for :func:`hidden_states`; one batch, since all weights of all layers are held.
    part : {"", "encoder", "decoder", "cross"}
        Of a model with encoder and decoder.

    Returns
    -------
    tuple of array, shape (n_stimuli, n_heads, n_queries, n_keys)
        One per layer. Rows and columns of tokens that only fill are in it: cut them off, or give ``allowed`` to the
        scores of :mod:`neurolib.metrics.attention_patterns`.

    Raises
    ------
    ValueError
        If a layer gives no weights. Fused attention (``sdpa``, ``flash_attention_2``) never has them; the
        model must be loaded anew with ``attn_implementation="eager"``, which is the user's decision, as it is
        slower and may differ in the last digits.
    """
    _known(part, (*PARTS, "cross"))
    attribute = f"{part}_" * bool(part) + "attentions"
    with patch(model, {}), torch.no_grad():
        output = model(**_tensors(model, inputs), output_attentions=True, return_dict=True)
    found = getattr(output, attribute, None)
    missing = [] if not found else [number for number, layer in enumerate(found) if layer is None]
    if not found or missing:
        how = getattr(getattr(model, "config", None), "_attn_implementation", None)
        which = f"layers {missing} have none" if found else f"the output has no {attribute!r}"
        raise ValueError(
            f"{type(model).__name__} gave no attention weights ({which}; its attention is {how or 'unknown'}); "
            "fused attention never has them: load the model with attn_implementation='eager'"
        )
    return tuple(layer.float().cpu().numpy() for layer in found)


class _HiddenStates(nn.Module):
    """A model around whose hidden states taps are set, one per layer, so that they are sites like others."""

    def __init__(self, model: nn.Module, attribute: str):
        super().__init__()
        self.model, self.attribute, self.taps = model, attribute, nn.ModuleList()

    def count(self, batch: Mapping[str, Tensor]) -> None:
        """Set as many taps as the model gives layers, on one stimulus."""
        with patch(self.model, {}), torch.no_grad():
            self.taps.extend(Tap() for _ in self._given(batch)[0])

    def sites(self) -> tuple[Site, ...]:
        """The layers in their order."""
        return tuple(
            Site(f"layer.{i}" if i else "embedding", f"taps.{i}", ("batch", "token", "channel"))
            for i in range(len(self.taps))
        )

    def forward(self, batch: Mapping[str, Tensor]) -> Any:
        """Run the model, and pass its hidden states through the taps."""
        layers, output = self._given(batch)
        for tap, layer in zip(self.taps, layers, strict=True):
            tap(layer)
        return output

    def _given(self, batch: Mapping[str, Tensor]) -> tuple[tuple[Tensor, ...], Any]:
        output = self.model(**batch, output_hidden_states=True, return_dict=True)
        layers = getattr(output, self.attribute, None)
        if not layers:
            has = [name for name, value in getattr(output, "__dict__", {}).items() if value is not None]
            raise ValueError(
                f"{type(self.model).__name__} gave no {self.attribute!r}, only {', '.join(has) or 'nothing'}; "
                "for a model with encoder and decoder say part='encoder' or 'decoder'"
            )
        return layers, output


def _tensors(model: nn.Module, inputs: Mapping[str, ArrayLike | Tensor]) -> dict[str, Tensor]:
    """Inputs on the device of the model."""
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    return {
        key: (value if isinstance(value, Tensor) else torch.as_tensor(np.asarray(value))).to(device)
        for key, value in inputs.items()
    }


def _known(part: str, parts: tuple[str, ...] = PARTS) -> None:
    if part not in parts:
        raise ValueError(f"part={part!r} must be one of {', '.join(map(repr, parts))}")
