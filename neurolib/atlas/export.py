"""A trained atlas as files for any program: tables, images, networks, and how to read them.

Tables of foci and studies derive from Neurosynth and NeuroQuery, whose open database licence goes
with them; the folder's README says so.
"""

import hashlib
import importlib.util
import json
import os
import shutil
import tempfile
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from neurolib import __version__
from neurolib.atlas import viewer
from neurolib.atlas.decoder import Decoder
from neurolib.atlas.trained import Atlas
from neurolib.models.coordinates.density_vae import DensityVAE

TOLERANCE = 1e-4  # of log densities between torch and onnxruntime
EXAMPLES = Path(__file__).with_name("examples")
N_ACTIVE = 8


def export(atlas: Atlas, folder: Path, n_maps: int = N_ACTIVE) -> Path:
    """Write everything; what needs a package that is not installed is left out, and the manifest says so.

    Parameters
    ----------
    atlas : Atlas
    folder : Path
        Must not exist, or be empty; it appears whole or not at all.
    n_maps : int
        Latent dimensions with images of their own, the most active ones.

    Returns
    -------
    Path

    Raises
    ------
    FileExistsError
        If there is something in the folder.
    ValueError
        If the autoencoder was never trained, or a network does not agree with torch.
    """
    folder = Path(folder)
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"{folder} is not empty; give a new folder, or delete it first")
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        decoder = decoder_of(atlas.vae)
        missing = []
        _tables(atlas, part / "tables", missing)
        _images(atlas, decoder, part / "images", n_maps)
        conditions = {"any study": atlas.vae.blank.detach().numpy()} if decoder.n_condition else None
        viewer.export(
            part / "viewer",
            decoder,
            dimension_labels(atlas),
            activity(atlas),
            atlas.sha256,
            n_maps=n_maps,
            conditions=conditions,
        )
        _networks(atlas.vae, part / "networks", missing)
        for example in sorted(EXAMPLES.iterdir()):
            shutil.copy(example, part / example.name)
        _manifest(atlas, part, missing)
        if folder.exists():
            folder.rmdir()
        os.replace(part, folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return folder


def decoder_of(vae: DensityVAE) -> Decoder:
    """The decoder of an autoencoder as plain arrays; an untrained one is refused."""
    state = {k: v.numpy() for k, v in vae.state_dict().items() if k.startswith(("decoder.", "out."))}
    return Decoder.from_state(state, vae.grid, vae.field.log_base.numpy(), vae.cfg.latent)


def activity(atlas: Atlas) -> np.ndarray:
    """Variance over training studies of each dimension's posterior mean, shape (latent,)."""
    return atlas.latents[0][atlas.corpus.own_train].var(0)


def dimension_labels(atlas: Atlas, n_permutations: int = 100) -> list[str]:
    """What each dimension goes with: the topics at its two ends, where they beat shuffled studies."""
    from neurolib.metrics.latents import topic_correlations

    rows = atlas.corpus.own_train
    found = topic_correlations(
        atlas.latents[0][rows], atlas.corpus.corpus.topics[rows], n_permutations=n_permutations
    )
    names = [name.split("_", 1)[-1].replace("_", " ") for name in atlas.corpus.corpus.topic_names]
    labels = []
    for row in np.asarray(found.correlations):
        low, high = int(row.argmin()), int(row.argmax())
        ends = [names[k] if abs(row[k]) > found.threshold else "no topic" for k in (low, high)]
        labels.append(f"{ends[0]} ↔ {ends[1]}")
    return labels


def _tables(atlas: Atlas, folder: Path, missing: list[str]) -> None:
    """CSV, and Parquet where pyarrow is, with a description of every column."""
    import pandas

    corpus = atlas.corpus
    own = np.arange(corpus.n_own)
    c = corpus.corpus.take(own)
    split = np.full(corpus.n_own, "train", dtype="<U5")
    split[corpus.split.valid], split[corpus.split.test] = "valid", "test"
    mean, log_variance = (values[own] for values in atlas.latents)
    n = mean.shape[1]
    x, y, z = c.xyz_mm.T
    tables = {
        "studies": {
            "id": (c.id, "", "study, as in the source (a PubMed id in Neurosynth)"),
            "year": (c.year, "year", "of publication"),
            "journal": (c.journal, "", ""),
            "space": (c.space, "", "coordinate space that the article names"),
            "n_foci": (c.counts, "", "after cleaning"),
            "duplicate_group": (c.duplicate_groups, "", "studies with equal numbers have identical foci"),
            "split": (split, "", "train, valid or test"),
        },
        "latents": {
            "id": (c.id, "", "study"),
            **{f"mean_{k}": (mean[:, k], "", "posterior mean given all foci") for k in range(n)},
            **{f"log_variance_{k}": (log_variance[:, k], "", "of the posterior") for k in range(n)},
        },
        "topics": {
            "id": (c.id, "", "study"),
            **{
                name: (c.topics[:, k], "share", "weight in the abstract")
                for k, name in enumerate(c.topic_names)
            },
        },
        "foci": {
            "id": (c.id[c.study], "", "study"),
            "table": (c.table, "", "table of the article"),
            "x": (x, "mm", "MNI152, left is negative"),
            "y": (y, "mm", "MNI152, back is negative"),
            "z": (z, "mm", "MNI152"),
        },
        "nodes": {
            name: (atlas.vae.field.centres_mm[:, k].numpy(), "mm", "node that the networks read and write")
            for k, name in enumerate("xyz")
        },
    }
    folder.mkdir(parents=True)
    schema = {}
    parquet = importlib.util.find_spec("pyarrow") is not None
    for name, columns in tables.items():
        frame = pandas.DataFrame({column: values for column, (values, _, _) in columns.items()})
        frame.to_csv(folder / f"{name}.csv", index=False, float_format="%.6g")
        if parquet:
            frame.to_parquet(folder / f"{name}.parquet", index=False)
        schema[name] = [
            {
                "name": column,
                "dtype": str(frame[column].dtype),
                "unit": unit,
                "nullable": bool(frame[column].isna().any()),
                "description": text,
            }
            for column, (_, unit, text) in columns.items()
        ]
    if not parquet:
        missing.append("tables/*.parquet (needs pyarrow)")
    (folder / "schema.json").write_text(json.dumps(schema, indent=1), "utf-8")


def _images(atlas: Atlas, decoder: Decoder, folder: Path, n_maps: int) -> None:
    """Densities of all foci and of topics, and both ends of the most active dimensions, as NIfTI."""
    import nibabel

    grid, note = atlas.corpus.grid, f"neurolib {atlas.sha256[:24]}"
    order = np.argsort(-activity(atlas))[:n_maps]
    z = np.zeros((2 * len(order), decoder.n_latent))
    z[np.arange(len(z)), np.repeat(order, 2)] = np.tile([-2.0, 2.0], len(order))
    told = atlas.vae.blank.detach().numpy() if decoder.n_condition else None
    images = {
        "all_foci": atlas.corpus.base[None],
        "topics": atlas.topics.topic_maps,
        "latents_minus2_plus2": decoder(z, told),
    }
    folder.mkdir(parents=True)
    for name, maps in images.items():
        volume = np.stack([grid.volume(m) for m in maps], -1).astype(np.float32)
        image = nibabel.Nifti1Image(volume[..., 0] if len(maps) == 1 else volume, grid.affine)
        image.header.set_xyzt_units("mm")
        image.set_sform(grid.affine, 4)  # code 4: MNI152
        image.set_qform(grid.affine, 4)
        image.header["descrip"] = note.encode()
        nibabel.save(image, folder / f"{name}.nii.gz")
    frames = {
        "topics": list(atlas.corpus.corpus.topic_names),
        "latents_minus2_plus2": [f"dimension {k} at {s:+.0f}" for k in order for s in (-2, 2)],
    }
    (folder / "frames.json").write_text(json.dumps(frames, indent=1), "utf-8")


class DecoderGraph(nn.Module):
    """Latents and condition to log density, in operations that every ONNX runtime has."""

    def __init__(self, vae: DensityVAE):
        super().__init__()
        self.body, self.out = vae.decoder, vae.out
        self.register_buffer("near", vae.field.corners)
        self.register_buffer("log_base", vae.field.log_base)

    def forward(self, z: Tensor, condition: Tensor) -> Tensor:
        """``(batch, latent)`` and ``(batch, condition)`` to ``(batch, n_voxels)``."""
        field = self.out(self.body(torch.cat([z, condition], 1)))
        near = field[:, self.near.flatten()].unflatten(1, self.near.shape)
        return torch.log_softmax(self.log_base + near.mean(-1), 1)


class EncoderGraph(nn.Module):
    """Foci smoothed onto the nodes, their number and the condition to the posterior."""

    def __init__(self, vae: DensityVAE):
        super().__init__()
        self.body, self.posterior = vae.encoder, vae.posterior

    def forward(self, nodes: Tensor, n_foci: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """``(batch, n_nodes)``, ``(batch, 1)``, ``(batch, condition)`` to mean and log variance."""
        size = torch.log1p(n_foci) / 3 - 1
        mean, log_variance = self.posterior(
            self.body(torch.cat([torch.log1p(4 * nodes), size, condition], 1))
        ).chunk(2, 1)
        return mean, log_variance.clamp(-8, 4)


def _networks(vae: DensityVAE, folder: Path, missing: list[str]) -> None:
    """Encoder and decoder as ONNX, compared with torch by onnxruntime before they are kept."""
    if any(importlib.util.find_spec(name) is None for name in ("onnx", "onnxscript", "onnxruntime")):
        missing.append("networks/*.onnx (needs the extra neurolib-book[onnx])")
        return
    import onnxruntime

    folder.mkdir(parents=True)
    torch.manual_seed(0)
    told = torch.randn(3, vae.cfg.condition)
    n_foci = torch.full((3, 1), 12.0)
    z, nodes = torch.randn(3, vae.cfg.latent), torch.rand(3, vae.field.n_nodes)
    graphs = {
        "decoder": (DecoderGraph(vae), (z, told), ("z", "condition"), ("log_density",)),
        "encoder": (
            EncoderGraph(vae),
            (nodes, n_foci, told),
            ("nodes", "n_foci", "condition"),
            ("mean", "log_variance"),
        ),
    }
    for name, (graph, inputs, names, outputs) in graphs.items():
        graph.eval().requires_grad_(False)
        batch = torch.export.Dim("batch", min=1, max=4096)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns of its own exporter
            program = torch.onnx.export(
                graph,
                inputs,
                input_names=names,
                output_names=outputs,
                dynamic_shapes=tuple({0: batch} for _ in inputs),
                dynamo=True,
                verbose=False,
            )
        content = program.model_proto.SerializeToString()
        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
        found = session.run(None, {key: value.numpy() for key, value in zip(names, inputs, strict=True)})
        want = graph(*inputs)
        want = want if isinstance(want, tuple) else (want,)
        for label, ours, theirs in zip(outputs, want, found, strict=True):
            off = float(np.abs(ours.numpy() - theirs).max())
            if off > TOLERANCE:
                raise ValueError(
                    f"{name}.onnx: {label} is off by {off:.1e} from torch, more than {TOLERANCE:.0e}"
                )
        (folder / f"{name}.onnx").write_bytes(content)


def _manifest(atlas: Atlas, folder: Path, missing: list[str]) -> None:
    """What was exported, from what, and the hash of every file."""
    files = {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    simulated = atlas.corpus.simulated
    about = {
        "made_by": f"neurolib {__version__}",
        "checkpoint": atlas.sha256,
        "simulated": simulated,
        "corpus": atlas.corpus.name,
        "n_studies": atlas.corpus.n_own,
        "split_sha256": atlas.corpus.split.sha256,
        "licence": "CC0"
        if simulated
        else "tables: ODbL 1.0 (derived from Neurosynth); images and networks: produced work",
        "left_out": missing,
        "files": files,
    }
    (folder / "manifest.json").write_text(json.dumps(about, indent=1), "utf-8")
