"""A simulated twin of the coordinate corpora: settings in, studies with known causes out.

Every study has eight latent numbers. They bend the density of its foci by smooth fields, and they
decide its topics; so text, foci and latents tell of each other as they do in recorded studies.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from neurolib.data.brain import Grid
from neurolib.data.coordinates import MNI_TO_TAL, Coordinates

TOPICS = (
    ("motor", (-38, -22, 56)),
    ("visual", (10, -88, 2)),
    ("language", (-50, 24, 16)),
    ("memory", (-26, -20, -16)),
    ("reward", (12, 12, -6)),
    ("pain", (38, 12, 2)),
    ("social", (4, 54, 22)),
    ("attention", (28, -58, 52)),
    ("emotion", (-22, -4, -18)),
    ("auditory", (56, -20, 6)),
    ("control", (42, 36, 26)),
    ("resting", (-4, -54, 28)),
)
YEARS = (1998, 2018)


@dataclass(frozen=True)
class CorpusSimulator:
    """How the studies of a simulated corpus come about.

    Parameters
    ----------
    n_studies : int
    n_factors : int
        Latent numbers per study.
    strength : float
        Standard deviation of the log density's fields over the brain.
    mean_foci, spread : float
        Negative binomial number of foci per study: its mean, and the size parameter (small is wide).
    clustered : float
        Share of foci that are near an earlier one of the study.
    mirrored : float
        Share of foci that mirror an earlier one of the study.
    table_strength : float
        By how much the tables of a study differ from it, in standard deviations of the latents.
    year_drift : float
        Shift of the first factor from the first to the last year, in its standard deviations.
    tal : float
        Share of studies reported in Talairach space.

    Raises
    ------
    ValueError
        If a share is not one, or there is nothing to simulate.
    """

    n_studies: int = 1500
    n_factors: int = 8
    strength: float = 0.36
    mean_foci: float = 24.0
    spread: float = 1.4
    clustered: float = 0.12
    mirrored: float = 0.12
    table_strength: float = 0.5
    year_drift: float = 0.4
    tal: float = 0.16

    def __post_init__(self):
        if self.n_studies < 10 or self.n_factors < 1 or not self.mean_foci > 2:
            raise ValueError(
                f"{self.n_studies} studies, {self.n_factors} factors, {self.mean_foci} foci is too little"
            )
        for name in ("clustered", "mirrored", "tal"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} must be a share, at least 0 and below 1")

    def simulate(self, seed: int = 0) -> tuple[Coordinates, "Truth"]:
        """Draw a corpus as articles would report it, in whole millimetres and two spaces, and its causes.

        Examples
        --------
        >>> corpus, truth = CorpusSimulator(n_studies=20).simulate()
        >>> corpus.n_studies, truth.latents.shape
        (20, (20, 8))
        """
        rng = np.random.default_rng(seed)
        grid = Grid.mni(4)
        truth = self._truth(grid, rng)
        year = rng.integers(YEARS[0], YEARS[1] + 1, self.n_studies).astype(float)
        truth.latents[:, 0] += self.year_drift * (year - np.mean(YEARS)) / (YEARS[1] - YEARS[0])
        counts = 2 + rng.negative_binomial(
            self.spread, self.spread / (self.spread + self.mean_foci - 2), self.n_studies
        )
        tables = rng.choice([1, 2, 3], self.n_studies, p=[0.5, 0.3, 0.2])
        of_table = np.repeat(np.arange(self.n_studies), tables)
        latents = truth.latents[of_table] + self.table_strength * rng.normal(
            size=(len(of_table), self.n_factors)
        )
        table = np.concatenate(
            [
                np.sort(rng.integers(0, t, n)) + start
                for t, n, start in zip(tables, counts, np.cumsum(tables) - tables, strict=True)
            ]
        )
        xyz = self._foci(grid, truth, latents, table, of_table, rng)
        study = of_table[table]
        space = np.where(rng.random(self.n_studies) < self.tal, "TAL", "MNI")
        reported = np.where((space[study] == "TAL")[:, None], _mni_to_tal(xyz), xyz)
        reported = 2 * np.rint(reported / 2 + rng.uniform(-0.25, 0.25, reported.shape))  # mostly even numbers
        topics, title = self._text(truth, rng)
        return (
            Coordinates(
                reported,
                study,
                table,
                np.arange(len(study)),
                np.arange(self.n_studies),
                space,
                year,
                rng.choice(["Simulated Brain", "Journal of Twins", "Made Up Mapping"], self.n_studies),
                title,
                topics,
                tuple(f"{i}_{name}" for i, (name, _) in enumerate(TOPICS)),
                name="neurosynth",
                simulated=True,
                log=(f"simulated {self.n_studies} studies, seed {seed}",),
            ),
            truth,
        )

    def _truth(self, grid: Grid, rng) -> "Truth":
        """Fields around the topics' places and their mirror images, mixed into orthogonal factors."""
        places = np.array([place for _, place in TOPICS], float)
        bumps = []
        for place in places:
            near = [
                np.exp(-((grid.centres_mm - p) ** 2).sum(1) / (2 * 16.0**2))
                for p in (place, place * [-1, 1, 1])
            ]
            bumps.append(near[0] + 0.6 * near[1])
        bumps = np.array(bumps) - np.mean(bumps, axis=1, keepdims=True)
        loadings = np.linalg.qr(rng.normal(size=(len(TOPICS), self.n_factors)))[0]  # (topic, factor)
        fields = loadings.T @ (bumps / bumps.std(1, keepdims=True))
        fields *= self.strength / fields.std(1, keepdims=True)
        rough = gaussian_filter(grid.volume(rng.normal(size=grid.n_voxels)), 3)[grid.mask]
        base = 0.35 * rough / rough.std() + 0.25 * bumps.sum(0) / bumps.sum(0).std()
        return Truth(rng.normal(size=(self.n_studies, self.n_factors)), fields, base, loadings)

    def _foci(self, grid, truth, latents, table, of_table, rng) -> NDArray:
        """Where the foci of every table are, in MNI millimetres."""
        out = np.empty((len(table), 3))
        first = np.searchsorted(table, np.arange(len(latents) + 1))
        for t, z in enumerate(latents):
            rows = np.arange(first[t], first[t + 1])
            if not len(rows):
                continue
            cumulative = np.cumsum(np.exp(truth.base + z @ truth.fields))
            voxel = np.searchsorted(cumulative, rng.random(len(rows)) * cumulative[-1])
            out[rows] = grid.centres_mm[voxel] + rng.uniform(-2, 2, (len(rows), 3))
        of = of_table[table]
        study_first = np.searchsorted(of, of)
        earlier = study_first + (rng.random(len(of)) * (np.arange(len(of)) - study_first)).astype(int)
        kind = rng.random(len(of))
        has = np.arange(len(of)) > study_first
        near = has & (kind < self.clustered)
        mirror = has & (kind >= self.clustered) & (kind < self.clustered + self.mirrored)
        for i in np.flatnonzero(near | mirror):  # in order, because an earlier focus may itself be moved
            moved = out[earlier[i]] * ([-1, 1, 1] if mirror[i] else [1, 1, 1]) + rng.normal(0, 5, 3)
            if grid.distance_mm(moved[None])[0] <= 4:
                out[i] = moved
        return out

    def _text(self, truth, rng) -> tuple[NDArray, NDArray]:
        """Topic weights by a softmax of the latents, and titles that name a heavy topic."""
        score = 1.6 * truth.latents @ truth.loadings.T + 0.8 * rng.normal(size=(self.n_studies, len(TOPICS)))
        weights = np.exp(score) / np.exp(score).sum(1, keepdims=True)
        chosen = (weights.cumsum(1) > rng.random((self.n_studies, 1))).argmax(1)
        title = np.array([f"A simulated study of {TOPICS[k][0]}" for k in chosen])
        return weights.astype(np.float32), title


@dataclass(frozen=True, eq=False)
class Truth:
    """What a simulated corpus was drawn from.

    Parameters
    ----------
    latents : array, shape (n_studies, n_factors)
    fields : array, shape (n_factors, n_voxels)
        What a latent adds to the log density, on the 4 mm grid.
    base : array, shape (n_voxels,)
        Log density without latents, up to a constant.
    loadings : array, shape (n_topics, n_factors)
    """

    latents: NDArray
    fields: NDArray
    base: NDArray
    loadings: NDArray

    def log_density(self, study: int) -> NDArray:
        """Log density of a study's foci before clusters, mirror images and tables, shape (n_voxels,)."""
        log_p = self.base + self.latents[study] @ self.fields
        return log_p - np.logaddexp.reduce(log_p)


def _mni_to_tal(xyz_mm: NDArray) -> NDArray:
    """The inverse of :func:`neurolib.data.coordinates.tal_to_mni`."""
    return xyz_mm @ MNI_TO_TAL[:3, :3].T + MNI_TO_TAL[:3, 3]
