"""Brain viewers that live on a static page: maps or a folder of viewer files in, an HTML display out.

On a page the data are scripts: they lie beside the executed notebooks and are copied into the book when
it is built (:mod:`neurolib.runs.viewer_files`). A page can then be opened from a disk, where a browser
refuses to fetch files. In JupyterLab everything is in one frame. What is drawn, and how, is in ``book/_static/atlas.js``.
"""

import html
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from neurolib.atlas.viewer import compressed, nifti, template_nifti
from neurolib.data.brain import Grid
from neurolib.runs.project import find_project
from neurolib.runs.viewer_files import encoded, key_of, script_text, write

CLEAR_BRAIN = 99.8  # percentile of the absolute values at which colours end


@dataclass(frozen=True, eq=False)
class Pane:
    """One brain of a viewer.

    Parameters
    ----------
    title : str
    maps : array, shape (n_frames, n_voxels) or (n_voxels,)
        A single map stays while the other pane's frames move. Maps that fall below zero are drawn
        in diverging colours around it, others in sequential ones.
    unit : str
        Written at the colour bar.
    limit : float, optional
        Value at which colours end; by default one that a few voxels exceed.
    points : mapping of str to array, shape (n, 3) or (n, 4)
        Groups of foci in mm to draw as dots, under their names; a fourth column is the frame that
        a focus belongs to.
    """

    title: str
    maps: ArrayLike
    unit: str = "nats"
    limit: float | None = None
    points: Mapping[str, ArrayLike] = field(default_factory=dict)


def slider(
    name: str,
    folder: str | Path,
    *,
    at_mm: Sequence[float] = (0, -20, 20),
    note: str = "",
    first: str = "slices",
) -> None:
    """Move the latent dimensions of an exported decoder and see the map.

    The page opens with the precomputed maps of the most active dimensions; the decoder, which moves
    all of them at once, is loaded when the reader asks for it.

    Parameters
    ----------
    name : str
        Becomes an id on the page.
    folder : path
        Written by :func:`neurolib.atlas.viewer.export`.
    at_mm : sequence of float
        Where the crosshair starts.
    note : str
        A sentence below the viewer.
    first : {"slices", "niivue"}
        What opens: our three slices, or NiiVue where the browser can draw it (2.3 MB more).

    Raises
    ------
    FileNotFoundError
        If the folder has no viewer files.
    ValueError
        If ``name`` will not do as an id or ``first`` is neither.
    """
    folder = Path(folder)
    if not (folder / "dims.json").is_file():
        raise FileNotFoundError(f"no dims.json in {folder}; neurolib.atlas.viewer.export writes it")
    if first not in ("slices", "niivue"):
        raise ValueError(f"first={first!r} must be 'slices' or 'niivue'")
    data = _Data()
    described = json.loads((folder / "dims.json").read_text("utf-8"))
    for entry in described["dimensions"]:
        if entry.get("file"):
            path = folder / entry.pop("file")
            entry["data"] = data.add(path.name.split(".")[0], path.read_bytes())
    described["manifest"] = json.loads((folder / "manifest.json").read_text("utf-8"))
    described["decoder"] = data.add("decoder", compressed((folder / "decoder.bin").read_bytes()))
    described["decoder_mb"] = round(len(encoded(data.files[described["decoder"]])) / 1e6, 1)
    template = data.add("template", (folder / "template.nii.gz").read_bytes())
    options = {"kind": "slider", "template": template, "first": first, "at": list(at_mm), "note": note}
    show(name, described | options, data)


def frames(
    name: str,
    panes: Pane | Sequence[Pane],
    grid: Grid,
    labels: Sequence[str],
    *,
    word: str = "",
    start: int = 0,
    at_mm: Sequence[float] = (0, -20, 20),
    note: str = "",
) -> None:
    """Step through labelled maps: years, conditions, or a single map to look around in.

    Parameters
    ----------
    name : str
        Becomes an id on the page.
    panes : Pane or sequence of Pane
        One or two brains that share the crosshair and the slider.
    grid : Grid
        That the maps are on.
    labels : sequence of str
        One per frame; with a single label there is no slider.
    word : str
        What the slider changes, such as "year".
    start : int
        Frame that opens; negative ones count from the end.
    at_mm, note
        As in :func:`slider`.

    Raises
    ------
    ValueError
        If a pane has another number of frames or voxels than labels and grid say.
    """
    panes = [panes] if isinstance(panes, Pane) else list(panes)
    if not labels or not panes:
        raise ValueError(f"{name}: {len(panes)} panes and {len(labels)} labels; give at least one of each")
    if not -len(labels) <= start < len(labels):
        raise ValueError(f"{name}: cannot start at frame {start} of {len(labels)}")
    data, shown = _Data(), []
    for pane in panes:
        maps = np.atleast_2d(np.asarray(pane.maps, float))
        if len(maps) not in (1, len(labels)):
            raise ValueError(f"{name}: {pane.title!r} has {len(maps)} frames for {len(labels)} labels")
        points = [
            {"label": label, "xyz": np.round(np.asarray(xyz, float), 1).tolist()}
            for label, xyz in pane.points.items()
        ]
        shown.append(
            {
                "title": pane.title,
                "unit": pane.unit,
                "limit": pane.limit or float(np.percentile(np.abs(maps), CLEAR_BRAIN)) or 1.0,
                "points": points,
                "data": data.add("maps", nifti(maps, grid)),
            }
        )
    options = {
        "kind": "frames",
        "panes": shown,
        "labels": [str(label) for label in labels],
        "word": word,
        "start": start % len(labels),
        "template": data.add("template", template_nifti()),
        "at": list(at_mm),
        "note": note,
    }
    show(name, options, data)


def voxel(
    name: str,
    log_ratios: ArrayLike,
    prior: ArrayLike,
    grid: Grid,
    labels: Sequence[str],
    *,
    values: Mapping[str, ArrayLike] | None = None,
    places: Mapping[str, ArrayLike] | None = None,
    limit: float = 1.5,
    at_mm: Sequence[float] = (-44, -8, 52),
    note: str = "",
) -> None:
    r"""Click a place: which topics report it, and what else they report.

    The table is :math:`p(t|v) \propto \pi_t\,e^{r_t(v)}`, and the map
    :math:`\log \sum_t p(t|v)\,e^{r_t(v')}`: how much more often than usual studies that report
    ``v`` also report ``v'``, as far as topics know.

    Parameters
    ----------
    name : str
        Becomes an id on the page.
    log_ratios : array, shape (n_topics, n_voxels)
        :math:`r_t(v) = \log p(v|t) - \log p(v)` in nats.
    prior : array, shape (n_topics,)
        Share of each topic in all foci.
    grid : Grid
    labels : sequence of str
        Names of the topics.
    values : mapping of str to array, shape (n_voxels,), optional
        Other maps to read at the crosshair, under their names.
    places : mapping of str to array, shape (3,), optional
        Named points in mm; the nearest to the crosshair is said, with its distance.
    limit : float
        Nats at which the colours of the map end.
    at_mm, note
        As in :func:`slider`.

    Raises
    ------
    ValueError
        If the shapes do not fit, or the prior is none.
    """
    log_ratios, prior = np.asarray(log_ratios, float), np.asarray(prior, float)
    if log_ratios.shape != (len(labels), grid.n_voxels) or prior.shape != (len(labels),):
        raise ValueError(
            f"{name}: log_ratios {log_ratios.shape} and prior {prior.shape} for {len(labels)} topics "
            f"and {grid.n_voxels} voxels"
        )
    if (prior < 0).any() or not prior.sum() > 0:
        raise ValueError(f"{name}: prior must be shares, not {prior}")
    data = _Data()
    options = {
        "kind": "voxel",
        "limit": limit,
        "data": data.add("topics", nifti(np.clip(log_ratios, -6, 6), grid)),
        "prior": np.round(prior / prior.sum(), 6).tolist(),
        "labels": [str(label) for label in labels],
        "values": [
            {"label": label, "data": data.add("value", nifti(np.atleast_2d(value), grid))}
            for label, value in (values or {}).items()
        ],
        "places": [
            {"name": place, "xyz": [round(float(x), 1) for x in xyz]} for place, xyz in (places or {}).items()
        ],
        "template": data.add("template", template_nifti()),
        "at": list(at_mm),
        "note": note,
    }
    show(name, options, data)


class _Data:
    """What a viewer draws, by key."""

    def __init__(self):
        self.files: dict[str, bytes] = {}

    def add(self, name: str, data: bytes) -> str:
        key = key_of(name, data)
        self.files[key] = data
        return key


def show(name: str, options: Mapping[str, Any], data: _Data) -> None:
    """Display a viewer; a run of the book writes its data to files, JupyterLab gets them in a frame."""
    from IPython.display import display

    if not re.fullmatch(r"[a-z][a-z0-9-]*", name):
        raise ValueError(f"{name!r}: use small letters, digits and dashes; it becomes an id on the page")
    if os.environ.get("NEUROLIB_HEADLESS"):
        body = element(name, options)
        if run := json.loads(os.environ.get("NEUROLIB_RUN", "{}")):
            for key, content in data.files.items():
                write(Path(run["root"]), key, content)
    else:
        page = html.escape(standalone(name, options, data), quote=True)
        body = f'<iframe srcdoc="{page}" style="width:100%;height:720px;border:0"></iframe>'
    display({"text/html": body, "text/plain": f"[viewer {name}]"}, raw=True)


def element(name: str, options: Mapping[str, Any]) -> str:
    """The viewer's place on a page, with its options."""
    described = json.dumps(options).replace("</", "<\\/")
    return (
        f'<div class="neuro-atlas" id="{name}"><script type="application/json">{described}</script>'
        "<noscript>This viewer needs JavaScript.</noscript></div>"
    )


def standalone(name: str, options: Mapping[str, Any], data: _Data) -> str:
    """A page that holds the viewer, its scripts and all its data."""
    static = find_project(Path(__file__)).root / "book" / "_static"
    style, script = ((static / f"atlas.{kind}").read_text("utf-8") for kind in ("css", "js"))
    values = "".join(script_text(key, content) for key, content in data.files.items())
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        "<style>:root { color-scheme: light dark; } body { font-family: system-ui, sans-serif; margin: 0.5rem; }"
        f"{style}</style><body>{element(name, options)}<script>{values}</script><script>{script}</script></body></html>"
    )
