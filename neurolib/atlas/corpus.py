"""What the pages of the atlas begin with: the corpus, its split, and every study's description."""

import hashlib
import logging
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from neurolib.data import catalog, neurosynth
from neurolib.data.brain import Grid
from neurolib.data.coordinate_simulator import CorpusSimulator
from neurolib.data.coordinate_splits import StudySplit, split_studies
from neurolib.data.coordinates import Coordinates
from neurolib.models.coordinates.density import smoothed_density
from neurolib.models.coordinates.text import StudyText, TextConfig

SOURCES = ("auto", "recorded", "simulated")
PLAIN_TEXT = TextConfig()
SIMULATED_TEXT = TextConfig(title=8, abstract=0)

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class AtlasCorpus:
    """Studies to learn from and to be tested on, in voxels of one grid.

    Parameters
    ----------
    corpus : Coordinates
        Clean, in MNI space. The first ``n_own`` studies are those that are split; the others come
        from a second corpus and are only ever trained on.
    n_own : int
    split : StudySplit
        ``train`` holds the second corpus's studies, too.
    description : array, shape (n_studies, n_numbers)
        Topics and text, learned from training studies.
    names : tuple of str
        What each number of the description is.
    n_brief : int
        The first so many are topics, whether there are any, and the year.
    grid : Grid
    """

    corpus: Coordinates
    n_own: int
    split: StudySplit
    description: NDArray
    names: tuple[str, ...]
    n_brief: int
    grid: Grid

    def __repr__(self):
        parts = (len(self.split.train), len(self.split.valid), len(self.split.test))
        extra = self.corpus.n_studies - self.n_own
        return f"AtlasCorpus({self.corpus!r}, {parts} studies to train, choose and test, {extra} of them only trained on)"

    @property
    def name(self) -> str:
        """Id in the catalog."""
        return self.corpus.name

    @property
    def simulated(self) -> bool:
        """Whether the studies are simulated."""
        return self.corpus.simulated

    @property
    def own_train(self) -> NDArray:
        """Training studies of the first corpus."""
        return self.split.train[self.split.train < self.n_own]

    @cached_property
    def voxels(self) -> NDArray:
        """Voxel of every focus, shape (n_foci,)."""
        return self.corpus.voxels(self.grid)

    @cached_property
    def base(self) -> NDArray:
        """Smoothed density of the foci of all training studies of the first corpus, shape (n_voxels,)."""
        return smoothed_density(self.voxels[self.corpus.foci(self.own_train)], self.grid)

    @cached_property
    def sha256(self) -> str:
        """Hash of what a model would be trained on."""
        parts = (self.voxels, self.corpus.study, self.description, self.base.astype("<f4"))
        digest = hashlib.sha256(self.split.sha256.encode())
        for part in parts:
            digest.update(np.ascontiguousarray(part).tobytes())
        return digest.hexdigest()


def load_corpus(
    source: str = "auto", extra: bool = True, n_simulated: int = 1500, seed: int = 0
) -> AtlasCorpus:
    """Neurosynth with a split and descriptions, or its simulated twin.

    Parameters
    ----------
    source : {"auto", "recorded", "simulated"}
        ``"auto"`` takes the recorded corpus if it is in the data folder.
    extra : bool
        Train also on those studies of NeuroQuery that Neurosynth does not have, and read its
        abstracts, if NeuroQuery is in the data folder. Neither is ever tested on.
    n_simulated : int
        Studies of the twin.
    seed : int
        Of the split, and of the twin.

    Raises
    ------
    FileNotFoundError
        If the recorded corpus is asked for and not there.
    ValueError
        If ``source`` is none of the above, or a file is damaged.
    """
    if source not in SOURCES:
        raise ValueError(f"source={source!r} must be one of {', '.join(SOURCES)}")
    if source == "auto":
        source = "recorded" if catalog.is_present("neurosynth") else "simulated"
        log.info("neurosynth: %s", source)
    if source == "simulated":
        raw, _ = CorpusSimulator(n_simulated).simulate(seed)
        return prepared(neurosynth.cleaned(raw), text=SIMULATED_TEXT, seed=seed)
    corpus = neurosynth.load_neurosynth()
    if not (extra and catalog.is_present("neuroquery")):
        return prepared(corpus, text=replace(TextConfig(), abstract=0), seed=seed)
    second = neurosynth.without_copies(neurosynth.load_neuroquery(), corpus)
    return prepared(corpus, second, neurosynth.load_abstracts()[:2], seed=seed)


def prepared(
    corpus: Coordinates,
    second: Coordinates | None = None,
    abstracts=None,
    text: TextConfig = PLAIN_TEXT,
    grid: Grid | None = None,
    seed: int = 0,
) -> AtlasCorpus:
    """Split a clean corpus, describe its studies and append a second one to train on.

    Parameters
    ----------
    corpus : Coordinates
    second : Coordinates, optional
        Only trained on; :func:`~neurolib.data.neurosynth.without_copies` takes out what is in both.
    abstracts : (ids, counts), optional
    text : TextConfig
    grid : Grid, optional
        Default the 4 mm grid.
    seed : int
    """
    split, n_own = split_studies(corpus, seed), corpus.n_studies
    if second is not None:
        corpus = corpus.joined(second)
        split = replace(split, train=np.r_[split.train, np.arange(n_own, corpus.n_studies)])
    words = StudyText(text)
    description = words.fit_transform(corpus, split.train, abstracts)
    return AtlasCorpus(
        corpus, n_own, split, description, tuple(words.names), words.n_brief, grid or Grid.mni(4)
    )
