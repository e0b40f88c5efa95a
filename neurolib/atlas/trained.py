"""The atlas as something to keep: a corpus and settings in, trained models and their scores out.

Training takes minutes, so its result lies in the user's cache, under a name made from everything
that it depends on: the foci, the settings and the source of the models.
"""

import ast
import hashlib
import inspect
import json
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from importlib import import_module
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from neurolib.atlas.corpus import AtlasCorpus
from neurolib.atlas.held_out import HeldOut
from neurolib.data.catalog import user_cache
from neurolib.models.coordinates.batches import hold_out_tensors, study_tensors, training_tensors
from neurolib.models.coordinates.components import ComponentsConfig
from neurolib.models.coordinates.density_model import DensityModel
from neurolib.models.coordinates.density_vae import DensityVAE, DensityVAEConfig
from neurolib.models.coordinates.factors import FactorsConfig
from neurolib.models.coordinates.field_pool import FieldPool
from neurolib.models.coordinates.local import LocalConfig
from neurolib.models.coordinates.neighbours import NeighboursConfig
from neurolib.models.coordinates.network_density import NetworkDensity
from neurolib.models.coordinates.text_density import TextDensity, TextDensityConfig
from neurolib.models.coordinates.topic_mixture import TopicMixtureConfig
from neurolib.models.coordinates.topic_ridge import TopicRidgeConfig
from neurolib.training import checkpoints
from neurolib.training.loop import TrainConfig, fit

CODE = (  # modules whose change makes another atlas
    "atlas.trained",
    "atlas.held_out",
    "training.loop",
    "models.coordinates.batches",
    "models.coordinates.components",
    "models.coordinates.density",
    "models.coordinates.density_model",
    "models.coordinates.density_vae",
    "models.coordinates.factors",
    "models.coordinates.field_pool",
    "models.coordinates.latent_density",
    "models.coordinates.local",
    "models.coordinates.neighbours",
    "models.coordinates.network_density",
    "models.coordinates.text_density",
    "models.coordinates.topic_mixture",
    "models.coordinates.topic_ridge",
)
COMPLETE = ("half", "table")  # tasks for models that need seen foci

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class AtlasConfig:
    """What is trained, and for how long.

    Parameters
    ----------
    vae : DensityVAEConfig
        Its ``condition`` is set to the brief part of the corpus's description: topics and year.
    n_members : int
        Autoencoders with different seeds, whose densities are averaged; the first is the one that
        is looked into.
    plain : bool
        Also train one that is told nothing of a study and from which no whole table is hidden: the
        better one where foci are hidden one by one.
    steps, batch_size : int
    lr : float
    text_hidden, text_steps : int
    seed : int
    """

    vae: DensityVAEConfig = field(default_factory=DensityVAEConfig)
    n_members: int = 1
    plain: bool = True
    steps: int = 2000
    batch_size: int = 128
    lr: float = 1e-3
    text_hidden: int = 256
    text_steps: int = 700
    seed: int = 0

    def __post_init__(self):
        if self.n_members < 1 or self.steps < 1 or self.text_steps < 1:
            raise ValueError(f"n_members={self.n_members}, steps={self.steps} must be at least 1")

    def training(self, steps: int, seed: int, device: str, **other) -> TrainConfig:
        """Settings of the loop for one of the networks."""
        return TrainConfig(
            steps,
            self.batch_size,
            self.lr,
            schedule="cosine",
            grad_clip=5.0,
            eval_every=max(1, steps // 12),
            seed=seed,
            device=device,
            **other,
        )


SIZES = {
    "quick": AtlasConfig(
        DensityVAEConfig(latent=16, hidden=128, warmup=60),
        n_members=1,
        steps=160,
        batch_size=64,
        lr=2e-3,
        text_hidden=96,
        text_steps=100,
    ),
    "book": AtlasConfig(),
    "full": AtlasConfig(DensityVAEConfig(hidden=768), n_members=5, steps=4000),
}


class Atlas:
    """Trained models of one corpus, and what they score on its test studies.

    Parameters
    ----------
    corpus : AtlasCorpus
    cfg : AtlasConfig
    members : list of DensityVAE
    plain : DensityVAE or None
    text : TextDensity
    topics : TopicMixture
    held_out : HeldOut
    about : dict
        When and how it was trained.
    """

    def __init__(self, corpus: AtlasCorpus, cfg: AtlasConfig, members, plain, text, topics, held_out, about):
        self.corpus, self.cfg, self.members, self.plain, self.text = corpus, cfg, members, plain, text
        self.topics, self.held_out, self.about = topics, held_out, about

    def __repr__(self):
        return f"Atlas({self.corpus.name}, {self.cfg.n_members} x {self.cfg.steps} steps, {self.sha256[:12]})"

    @property
    def vae(self) -> DensityVAE:
        """The member that is looked into."""
        return self.members[0]

    @property
    def sha256(self) -> str:
        """Hash of everything that the atlas was made from."""
        return self.about["key"]

    @cached_property
    def latents(self) -> tuple[NDArray, NDArray]:
        """Means and log variances of all studies, given all their foci, each (n_studies, latent)."""
        return self.encoded(np.arange(self.corpus.corpus.n_studies))

    @torch.no_grad()
    def encoded(self, studies: NDArray, block: int = 256) -> tuple[NDArray, NDArray]:
        """Means and log variances of some studies."""
        out = []
        for start in range(0, len(studies), block):
            rows = studies[start : start + block]
            batch = study_tensors(self.corpus.corpus, self.corpus.voxels, rows, self.corpus.description)
            out.append(torch.stack(self.vae.encode(batch["voxels"], batch["mask"], self.vae.told(batch))))
        return tuple(torch.cat(out, 1).double().numpy())


def classical(corpus: AtlasCorpus) -> dict[str, tuple[DensityModel, tuple[str, ...]]]:
    """The models without networks, fitted, and the tasks that each can do."""
    models = {
        "topics": (TopicMixtureConfig(), ()),
        "ridge": (TopicRidgeConfig(), ("text",)),
        "local 15 mm": (LocalConfig(), COMPLETE),
        "local 8 mm": (LocalConfig((8.0,)), COMPLETE),
        "mirror": (LocalConfig((12.0,), mirror=True), COMPLETE),
        "components": (ComponentsConfig(), COMPLETE),
        "components + topics": (ComponentsConfig(topics=True), COMPLETE),
        "factors": (FactorsConfig(), COMPLETE),
        "neighbours": (NeighboursConfig(), COMPLETE),
    }
    return {
        name: (cfg.build(corpus.grid).fit(corpus.corpus, corpus.voxels, corpus.own_train), tasks)
        for name, (cfg, tasks) in models.items()
    }


def train(
    corpus: AtlasCorpus, cfg: AtlasConfig, device: str = "auto", say: Callable[[str], None] = log.info
) -> Atlas:
    """Train and score everything; :func:`trained` keeps the result.

    Parameters
    ----------
    corpus : AtlasCorpus
    cfg : AtlasConfig
    device : str
    say : callable
        Told what is done.
    """
    start = time.perf_counter()
    held_out = HeldOut.of(corpus)
    text, members, plain = _untrained(corpus, cfg)
    tensors = training_tensors(
        corpus.corpus, corpus.voxels, corpus.split.train, corpus.split.valid, corpus.description
    )
    say(f"text to density, {cfg.text_steps} steps")
    fit(text, *tensors, cfg.training(cfg.text_steps, cfg.seed, device, weight_decay=3e-2))
    held_out.add(
        "text network", NetworkDensity(corpus.grid, text.cpu(), corpus.base, corpus.description), corpus
    )
    histories = []
    for k, member in enumerate(members):
        say(f"autoencoder {k + 1} of {cfg.n_members}, {cfg.steps} steps")
        histories.append(
            fit(member, *tensors, cfg.training(cfg.steps, cfg.seed + k, device, weight_decay=1e-2))
        )
    networks = [member.cpu() for member in members]
    held_out.add(
        "autoencoder", NetworkDensity(corpus.grid, networks[0], corpus.base, corpus.description), corpus
    )
    if len(networks) > 1:
        held_out.add(
            "ensemble", NetworkDensity(corpus.grid, networks, corpus.base, corpus.description), corpus
        )
    parts = [text, networks]
    if plain is not None:
        say(f"plain autoencoder, {cfg.steps} steps")
        halves = hold_out_tensors(  # it is for foci that are hidden one by one, so it stops by those
            corpus.corpus, corpus.voxels, held_out.hold_outs["half valid"], corpus.description
        )
        settings = cfg.training(cfg.steps, cfg.seed, device, weight_decay=1e-2)
        fit(plain, tensors[0], halves, settings)
        held_out.add(
            "plain autoencoder", NetworkDensity(corpus.grid, plain.cpu(), corpus.base, None), corpus, COMPLETE
        )
        parts.append(plain)
    say("pools of text and foci")
    pools = {}
    for task in held_out.tasks:
        pools[task] = FieldPool(text.field, parts)
        valid = held_out.hold_outs[f"{task} valid"]
        pools[task].fit(hold_out_tensors(corpus.corpus, corpus.voxels, valid, corpus.description))
        held_out.add(
            "pool", NetworkDensity(corpus.grid, pools[task], corpus.base, corpus.description), corpus, [task]
        )
    say("classical models")
    models = classical(corpus)
    for name, (model, tasks) in models.items():
        held_out.add(name, model, corpus, tasks)
    about = {
        "key": key(corpus, cfg),
        "seconds": round(time.perf_counter() - start, 1),
        "torch": torch.__version__,
        "split": corpus.split.sha256,
        "valid": [history.valid for history in histories],
        "steps": histories[0].step,
        "exponents": {task: pool.exponents.tolist() for task, pool in pools.items()},
    }
    return Atlas(corpus, cfg, members, plain, text, models["topics"][0], held_out, about)


def trained(
    corpus: AtlasCorpus, cfg: AtlasConfig, device: str = "auto", cache: Path | None = None, say=log.info
) -> Atlas:
    """The atlas of a corpus: from the cache if it is there, else trained and put there.

    Parameters
    ----------
    corpus : AtlasCorpus
    cfg : AtlasConfig
    device : str
    cache : Path, optional
        Default ``atlas`` in the user's cache folder.
    say : callable

    Returns
    -------
    Atlas

    Raises
    ------
    ValueError
        If what lies in the cache is damaged; the message names the folder to delete.
    """
    here = place(corpus, cfg, cache)
    if not here.is_dir():
        _keep(train(corpus, cfg, device, say), here)
    return _read(corpus, cfg, here)


def place(corpus: AtlasCorpus, cfg: AtlasConfig, cache: Path | None = None) -> Path:
    """Folder of a trained atlas, whether or not it exists."""
    return (user_cache() / "atlas" if cache is None else Path(cache)) / key(corpus, cfg)[:24]


def best_available(corpus: AtlasCorpus, size: str = "auto") -> AtlasConfig:
    """The settings of a page: a size of :data:`SIZES`, or the largest whose atlas is in the cache.

    ``"auto"`` is ``"quick"`` if none is.
    """
    if size != "auto":
        if size not in SIZES:
            raise ValueError(f"size={size!r} must be one of auto, {', '.join(SIZES)}")
        return SIZES[size]
    return next(
        (SIZES[name] for name in ("full", "book") if place(corpus, SIZES[name]).is_dir()), SIZES["quick"]
    )


def key(corpus: AtlasCorpus, cfg: AtlasConfig) -> str:
    """Hash of the foci, the settings and the source of the models."""
    digest = hashlib.sha256(corpus.sha256.encode())
    digest.update(json.dumps(asdict(cfg), sort_keys=True).encode())
    for name in CODE:
        digest.update(_meaning(inspect.getsource(import_module(f"neurolib.{name}"))).encode())
    return digest.hexdigest()


def _meaning(source: str) -> str:
    """A module without comments, docstrings and layout, which change no number."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if (
            isinstance(body, list)
            and body
            and isinstance(body[0], ast.Expr)
            and isinstance(body[0].value, ast.Constant)
        ):
            body[0].value.value = ""
    return ast.dump(tree)


def _untrained(
    corpus: AtlasCorpus, cfg: AtlasConfig
) -> tuple[TextDensity, list[DensityVAE], DensityVAE | None]:
    width, log_base = corpus.description.shape[1], np.log(corpus.base)
    text = TextDensityConfig(width, cfg.text_hidden).build(corpus.grid, log_base, cfg.seed)
    vae = replace(cfg.vae, condition=corpus.n_brief)
    members = [vae.build(corpus.grid, log_base, cfg.seed + k) for k in range(cfg.n_members)]
    plain = replace(cfg.vae, condition=0, hide_table=0.0).build(corpus.grid, log_base, cfg.seed)
    return text, members, plain if cfg.plain else None


def _keep(atlas: Atlas, here: Path) -> None:
    """Write a folder beside the place and move it there, so that it is whole or absent."""
    here.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f"{here.name}.", dir=here.parent))
    try:
        checkpoints.save_weights(part / "text.pt", atlas.text)
        for k, member in enumerate(atlas.members):
            checkpoints.save_weights(part / f"member{k}.pt", member)
        if atlas.plain is not None:
            checkpoints.save_weights(part / "plain.pt", atlas.plain)
        np.savez(
            part / "topics.npz",
            maps=atlas.topics.topic_maps,
            shares=atlas.topics.topic_shares,
            base=atlas.topics.base,
        )
        atlas.held_out.save(part / "held_out.npz")
        (part / "about.json").write_text(json.dumps(atlas.about, indent=1), "utf-8")
        os.replace(part, here)
    except OSError:
        if not here.is_dir():  # else another process was faster, with the same result
            raise
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _read(corpus: AtlasCorpus, cfg: AtlasConfig, here: Path) -> Atlas:
    try:
        text, members, plain = _untrained(corpus, cfg)
        checkpoints.load_weights(here / "text.pt", text).eval()
        for k, member in enumerate(members):
            checkpoints.load_weights(here / f"member{k}.pt", member).eval()
        if plain is not None:
            checkpoints.load_weights(here / "plain.pt", plain).eval()
        topics = TopicMixtureConfig().build(corpus.grid)
        with np.load(here / "topics.npz", allow_pickle=False) as file:
            topics.topic_maps, topics.topic_shares, topics.base = file["maps"], file["shares"], file["base"]
        held_out = HeldOut.of(corpus).restore(here / "held_out.npz")
        about = json.loads((here / "about.json").read_text("utf-8"))
    except (OSError, ValueError, KeyError) as error:
        what = str(error).splitlines()[0]
        raise ValueError(
            f"the atlas in {here} is damaged ({what}); delete the folder to train it again"
        ) from None
    return Atlas(corpus, cfg, members, plain, text, topics, held_out, about)
