"""The 92-image set: four ``.mat`` files in; images and the RDMs of monkeys, people, judgements and models of them out.

Ninety-two objects were shown to two monkeys and four people; what is published are dissimilarities of the responses in
inferior temporal cortex (IT), not the responses. RDMs are upper triangles row by row, 4186 values of 92 images.
:func:`simulate_rsa92` is the twin, which pages run on where the recording is not.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neurolib.data import catalog

ID = "rsa_92images"
N, SIZE = 92, 175
PAIRS = N * (N - 1) // 2
MODELS = ("animacy", "FaceBodyManmadeNatobj", "monkeyIT", "EVA", "HMAX", "V1", "Silhouette", "RADON")
SUPPLEMENT, BRAIN = "Kriegeskorte_Neuron2008_supplementalData.mat", "92_brainRDMs.mat"
JUDGED, MODELLED = "92_behavRDMs.mat", "92_modelRDMs.mat"


@dataclass(frozen=True)
class ImageSet:
    """Images, and how unalike each pair is to whom.

    Parameters
    ----------
    images : array of uint8, shape (92, 175, 175, 3)
        Objects on grey, in colour.
    labels : array of str, shape (92,)
        One of six, such as ``"human face"``, in the order of ``images``.
    categories : dict of str to array of bool, shape (92,)
        Twelve: ``"animate"``, ``"face"`` and so on, and random halves and quarters.
    monkey_it : array, shape (4186,)
        One minus correlation across 674 neurons of two monkeys.
    human_it : array, shape (4186,)
        Across 316 voxels, mean of all subjects and sessions.
    human_sessions : array, shape (4, 2, 4186)
        Subject, session.
    judgements : array, shape (16, 4186)
        Similarity as arranged by 16 people.
    models : dict of str to array, shape (4186,)
        Categorical and computed from images; ``"monkeyIT"`` among them is ``monkey_it``.
    simulated : bool

    Raises
    ------
    ValueError
        If a shape is another one, or a dissimilarity is not finite.
    """

    images: NDArray
    labels: NDArray
    categories: dict[str, NDArray]
    monkey_it: NDArray
    human_it: NDArray
    human_sessions: NDArray
    judgements: NDArray
    models: dict[str, NDArray]
    simulated: bool

    def __post_init__(self):
        wanted = {
            "monkey_it": (PAIRS,),
            "human_it": (PAIRS,),
            "human_sessions": (4, 2, PAIRS),
            "judgements": (16, PAIRS),
        }
        tables = {name: (getattr(self, name), shape) for name, shape in wanted.items()}
        tables |= {f"model {name}": (values, (PAIRS,)) for name, values in self.models.items()}
        for name, (values, shape) in tables.items():
            if values.shape != shape or not np.isfinite(values).all():
                raise ValueError(
                    f"{name} should be {shape} finite dissimilarities, it has shape {values.shape}"
                )
        if self.images.shape != (N, SIZE, SIZE, 3) or self.images.dtype != np.uint8 or len(self.labels) != N:
            raise ValueError(
                f"{self.images.shape} {self.images.dtype} images, {len(self.labels)} labels of {N} images"
            )


def load_rsa92(source: str = "auto", folder: Path | None = None) -> ImageSet:
    """The set, recorded or simulated.

    Parameters
    ----------
    source : {"auto", "recorded", "simulated"}
        ``"auto"`` takes the recording if it is in the data folder, else the twin, and logs which.
    folder : Path, optional
        Folder of the four files; by default that of the data folder.

    Returns
    -------
    ImageSet

    Raises
    ------
    FileNotFoundError
        If a recording is asked for that is not there; names the file.
    ValueError
        If the source is unknown, or a file is not the one of that name.

    References
    ----------
    .. [1] Kriegeskorte et al. (2008), "Matching categorical object representations in inferior temporal cortex of man
       and monkey", Neuron 60:1126-1141.
    .. [2] Mur et al. (2013), "Human object-similarity judgments reflect and transcend the primate-IT object
       representation", Front. Psychol. 4:128 (judgements).
    """
    from neurolib.data.sets import SOURCES, available

    if source not in SOURCES:
        raise ValueError(f"source={source!r} must be one of {', '.join(SOURCES)}")
    if source == "auto" and folder is None:
        source = available(ID, ID)
    if source == "simulated":
        return simulate_rsa92()
    if folder is None:
        catalog.require(ID)
        folder = catalog.folder(ID)
    return _read(Path(folder))


def simulate_rsa92(seed: int = 0) -> ImageSet:
    """A twin: the same images' categories, shapes drawn by rule, and responses that share a part of what they code.

    Responses are sums of categories, of what an image alone evokes, partly the same in both species, and of noise of
    each subject and session, set so that subjects and species agree about as much as recorded ones. Of the models
    the categorical ones are exact, V1 and Silhouette are correlations of the drawn images and of their outlines, and
    EVA, HMAX and RADON mix categories with noise.
    """
    draw = np.random.default_rng(seed)
    labels = np.repeat(
        ["human bodypart", "human face", "nonhuman bodypart", "nonhuman face", "natural inanimate"], 12
    )
    labels = np.concatenate([labels, np.repeat(["natural inanimate", "artificial inanimate"], [11, 21])])
    number = np.arange(N)
    has = {word: np.char.find(labels, word) >= 0 for word in ("face", "bodypart", "artificial", "natural")}
    animate, half = number < 48, draw.permutation(N) < 46
    categories = {
        "animate": animate,
        "inanim": ~animate,
        "human": number < 24,
        "nonhumani": animate & (number >= 24),
    }
    categories |= {
        "body": has["bodypart"],
        "face": has["face"],
        "natObj": has["natural"],
        "artiObj": has["artificial"],
    }
    categories |= {"rand24": draw.permutation(N) < 22, "rand48": half, "other48": ~half}
    categories |= {"monkeyape": np.isin(number, 24 + draw.permutation(24)[:7])}
    images = np.stack([_drawn(label, draw) for label in labels])

    def responses(values: NDArray, n_units: int, noise: float) -> NDArray:
        mixed = values @ draw.normal(size=(values.shape[1], n_units))
        return _rdm(mixed + noise * draw.normal(size=mixed.shape))

    codes = np.stack([1.8 * animate, 0.8 * has["face"], 0.4 * has["bodypart"], 0.3 * has["natural"]], axis=1)
    shared, human, monkey = (0.3 * draw.normal(size=(N, 12)) for _ in range(3))
    of_people = np.concatenate([codes, shared, human], axis=1)
    monkey_it = responses(np.concatenate([0.6 * codes, shared, 1.4 * monkey], axis=1), 674, 2.0)
    sessions = np.empty((4, 2, PAIRS))
    for subject in sessions:
        own = np.concatenate([of_people, 0.3 * draw.normal(size=(N, 12))], axis=1)
        subject[:] = [responses(own, 316, 8.0) for _ in range(2)]
    judged = np.concatenate([codes, shared, codes[:, :1] * (number < 24)[:, None]], axis=1)
    judgements = np.stack([responses(judged, 30, 4.0) for _ in range(16)]) * 0.02
    group = np.select([has["face"], has["bodypart"], has["artificial"]], [0, 1, 2], 3)
    models = {"animacy": _apart(animate), "FaceBodyManmadeNatobj": _apart(group), "monkeyIT": monkey_it}
    models |= {
        name: responses(size * codes, 50, 1.0)
        for name, size in (("EVA", 0.25), ("HMAX", 0.15), ("RADON", 0.05))
    }
    models["V1"] = _rdm(images[:, ::5, ::5].reshape(N, -1).astype(float))
    models["Silhouette"] = _rdm((images != 128).any(axis=3)[:, ::5, ::5].reshape(N, -1).astype(float))
    models = {name: models[name] for name in MODELS}
    human_it = sessions.mean(axis=(0, 1))
    return ImageSet(images, labels, categories, monkey_it, human_it, sessions, judgements, models, True)


def _drawn(label: str, draw: np.random.Generator) -> NDArray:
    """A face, limbs, a blob or a box on grey."""
    y, x = (np.mgrid[:SIZE, :SIZE] - SIZE / 2) / (SIZE / 2)
    x, y = x - draw.uniform(-0.1, 0.1), y - draw.uniform(-0.1, 0.1)
    wide, tall = draw.uniform(0.4, 0.75, 2)
    angle = np.arctan2(y, x)
    if "face" in label:
        shape = (x / wide) ** 2 + (y / 0.8) ** 2 < 1
        dark = ((abs(x) - wide / 2) ** 2 + (y + 0.2) ** 2 < 0.01) | (
            (abs(x) < wide / 2) & (abs(y - 0.4) < 0.04)
        )
    elif "bodypart" in label:
        turn = draw.uniform(0, np.pi)
        shape = (abs(x * np.cos(turn) + y * np.sin(turn)) < 0.15) & (np.hypot(x, y) < 0.9)
        dark = shape & (np.hypot(x, y) > 0.7)
    elif "natural" in label:
        shape = np.hypot(x, y) < 0.55 + 0.15 * np.sin(draw.integers(2, 7) * angle + draw.uniform(0, 6))
        dark = shape & (np.sin(20 * x * wide) > 0.6)
    else:
        shape = (abs(x) < wide) & (abs(y) < tall)
        dark = shape & ((abs(x) % 0.3 < 0.05) | (abs(abs(y) - tall / 2) < 0.04))
    colour = draw.integers(90, 255, 3)
    picture = np.full((SIZE, SIZE, 3), 128, np.uint8)
    picture[shape] = colour
    picture[shape & dark] = colour // 3
    return picture


def _rdm(responses: NDArray) -> NDArray:
    return (1 - np.corrcoef(responses))[np.triu_indices(N, 1)]


def _apart(group: NDArray) -> NDArray:
    return (group[:, None] != group)[np.triu_indices(N, 1)].astype(float)


def _read(folder: Path) -> ImageSet:
    supplement = folder / SUPPLEMENT
    names, vectors = _variable(supplement, "categoryLabels"), _variable(supplement, "categoryVectors")
    stimuli, both = _variable(supplement, "stimuli_92objs"), _variable(supplement, "RDMs_mIT_hIT_fig1")
    if vectors.shape != (N, names.size) or stimuli.size != N or both.size != 2:
        raise ValueError(f"{supplement}: {stimuli.size} images, {vectors.shape} categories, {both.size} RDMs")
    regions = {str(entry["name"].squeeze())[:3]: entry for entry in both.ravel()}
    if set(regions) != {"mIT", "hIT"}:
        raise ValueError(f"{supplement}: RDMs_mIT_hIT_fig1 is of {', '.join(regions)}, not of mIT and hIT")
    brain, judged = _variable(folder / BRAIN, "RDMs"), _variable(folder / JUDGED, "rdms_behav_92")
    modelled = _variable(folder / MODELLED, "Models")
    if brain.shape != (1, 4, 2) or judged.size != 16 or modelled.size != len(MODELS):
        raise ValueError(
            f"{folder}: {brain.shape} RDMs of sessions, {judged.size} of judgements, {modelled.size} of models"
        )
    sessions = [[_triangle(entry, folder / BRAIN) for entry in subject] for subject in brain[0]]
    models = {str(entry["name"].squeeze()): _triangle(entry, folder / MODELLED) for entry in modelled.ravel()}
    try:
        return ImageSet(
            images=np.stack([entry["image"] for entry in stimuli.ravel()]),
            labels=np.array([str(entry["category"].squeeze()) for entry in stimuli.ravel()]),
            categories={
                str(name.squeeze()): vector > 0 for name, vector in zip(names.ravel(), vectors.T, strict=True)
            },
            monkey_it=_triangle(regions["mIT"], supplement),
            human_it=_triangle(regions["hIT"], supplement),
            human_sessions=np.array(sessions),
            judgements=np.stack([_triangle(entry, folder / JUDGED) for entry in judged.ravel()]),
            models=models,
            simulated=False,
        )
    except ValueError as error:
        raise ValueError(f"{folder}: {error}") from None


def _triangle(entry: NDArray, path: Path) -> NDArray:
    """Upper triangle of a stored RDM, which is a table or, in the supplement, a row of pairs already."""
    values, name = np.asarray(entry["RDM"], float), str(entry["name"].squeeze())
    if values.shape == (1, PAIRS):
        return values[0]
    if values.shape != (N, N) or not np.array_equal(values, values.T) or np.diag(values).any():
        raise ValueError(
            f"{path}: {name} {values.shape} is no symmetric table of {N} images with zeros on its diagonal"
        )
    return values[np.triu_indices(N, 1)]


def _variable(path: Path, key: str) -> NDArray:
    from scipy.io import loadmat

    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist; is the data folder (NEUROLIB_DATA) the right one?")
    try:
        found = loadmat(path, variable_names=[key])
    except Exception as error:  # a damaged file surfaces as one of a dozen unrelated types
        kind = f"{type(error).__name__}: {error}".splitlines()[0]
        raise ValueError(f"{path} is no readable .mat file; truncated? ({kind})") from None
    if key not in found:
        raise ValueError(f"{path} has no variable {key!r}; is it another file of the set?")
    return found[key]
