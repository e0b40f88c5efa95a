"""The corpora of Neurosynth and NeuroQuery: their published files in, :class:`Coordinates` out.

pandas reads the tables; NiMARE is needed only to hand a corpus over to it.
"""

import contextlib
import hashlib
import os
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neurolib.data import brain, catalog, coordinates
from neurolib.data.brain import Grid
from neurolib.data.coordinates import Coordinates, tiny

NEUROSYNTH = "data-neurosynth_version-7_"
TOPICS = "vocab-LDA50_source-abstract_type-weight_features.npz"
TOPIC_NAMES = "vocab-LDA50_vocabulary.txt"
NEUROQUERY = "data-neuroquery_version-1_"
ABSTRACTS = "vocab-neuroquery7547_source-abstract_type-count_features.npz"
WORDS = "vocab-neuroquery7547_vocabulary.txt"


def load_neurosynth(folder: Path | None = None, clean: bool = True, cache: Path | None = None) -> Coordinates:
    """Neurosynth, version 7: 14,371 studies with 507,891 foci and 50 topics of their abstracts.

    Parameters
    ----------
    folder : Path, optional
        Where the files lie; by default the data folder, where they must be the published ones.
    clean : bool
        Move Talairach coordinates to MNI space, drop duplicates and foci outside the brain.
    cache : Path, optional
        Folder that keeps what was read, under the hash of the files and of this code. By default
        ``corpora`` in the user's cache for the files of the data folder, and none for others.

    Returns
    -------
    Coordinates

    Raises
    ------
    FileNotFoundError
        If the files are not there.
    ValueError
        If a file is truncated, lacks a column, or its rows do not belong together.

    References
    ----------
    .. [1] Yarkoni et al. (2011). Large-scale automated synthesis of human functional neuroimaging
       data. Nature Methods 8, 665-670.
    """
    if folder is None:
        folder = catalog.require("neurosynth")[0].parent
        cache = cache or catalog.user_cache() / "corpora"
    names = ("coordinates.tsv.gz", "metadata.tsv.gz", TOPICS, TOPIC_NAMES)
    files = [folder / f"{NEUROSYNTH}{name}" for name in names]
    return _kept(cache, files, clean, _read_neurosynth)


def _read_neurosynth(files: list[Path]) -> Coordinates:
    folder = files[0].parent
    foci = _table(files[0], ["id", "table_id", "peak_id", "x", "y", "z"])
    studies = _table(files[1], ["id", "year"], ["space", "title", "journal"])
    topics, topic_names = _topics(folder, len(studies))
    titles = studies["title"].fillna("").to_numpy(str)
    check_row_order(topics, topic_names, titles, files[2])
    corpus = _corpus(
        foci,
        studies,
        files,
        table=foci["table_id"].to_numpy(np.int64),
        focus_id=foci["peak_id"].to_numpy(np.int64),
        space=studies["space"].fillna("UNKNOWN").to_numpy(str),
        year=studies["year"].to_numpy(float),
        journal=studies["journal"].fillna("").to_numpy(str),
        title=titles,
        topics=topics,
        topic_names=topic_names,
        name="neurosynth",
    )
    return corpus


def load_neuroquery(folder: Path | None = None, clean: bool = True, cache: Path | None = None) -> Coordinates:
    """NeuroQuery, version 1: 13,459 studies with 469,260 foci, and titles; no year, journal or space.

    Parameters, returns and errors are those of :func:`load_neurosynth`.

    References
    ----------
    .. [1] Dockes et al. (2020). NeuroQuery, comprehensive meta-analysis of human brain mapping.
       eLife 9, e53385.
    """
    if folder is None:
        folder = catalog.require("neuroquery")[0].parent
        cache = cache or catalog.user_cache() / "corpora"
    files = [folder / f"{NEUROQUERY}{name}.tsv.gz" for name in ("coordinates", "metadata")]
    return _kept(cache, files, clean, _read_neuroquery)


def _read_neuroquery(files: list[Path]) -> Coordinates:
    foci = _table(files[0], ["id", "x", "y", "z"], ["table_id"])
    studies = _table(files[1], ["id"], ["title"])
    tables = foci["id"].astype(str) + " " + foci["table_id"].astype(str)
    corpus = _corpus(
        foci,
        studies,
        files,
        table=np.unique(tables.to_numpy(str), return_inverse=True)[1],
        focus_id=np.arange(len(foci)) + (1 << 40),  # away from the other corpus's numbers
        space=np.full(len(studies), "UNKNOWN"),
        title=studies["title"].fillna("").to_numpy(str),
        name="neuroquery",
    )
    return corpus


def _kept(
    cache: Path | None, files: list[Path], clean: bool, read: Callable[[list[Path]], Coordinates]
) -> Coordinates:
    """Read files, or what an earlier call kept of the same bytes."""
    if cache is None or not all(file.is_file() for file in files):
        return cleaned(read(files)) if clean else read(files)
    digest = hashlib.sha256(f"{read.__name__} {clean}".encode())
    for source in (*files, Path(__file__), Path(coordinates.__file__), Path(brain.__file__)):
        digest.update(hashlib.sha256(source.read_bytes()).digest())
    path = cache / f"{digest.hexdigest()[:32]}.npz"
    with contextlib.suppress(FileNotFoundError, ValueError):  # absent, or cut short: made again
        return Coordinates.load(path)
    corpus = cleaned(read(files)) if clean else read(files)
    cache.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.stem}.{os.getpid()}.part.npz")
    try:
        corpus.save(partial, compress=False)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    return corpus


def cleaned(corpus: Coordinates) -> Coordinates:
    """MNI space, one focus per millimetre and study, none far outside the brain."""
    return corpus.standardise().deduplicate().inside(Grid.mni(4))


def without_copies(extra: Coordinates, of: Coordinates, share: float = 0.5) -> Coordinates:
    """Drop studies of one corpus that may be studies of another under a different id.

    Parameters
    ----------
    extra, of : Coordinates
    share : float
        A study goes if this share of its foci, and at least three, are at the same millimetres
        as foci of one study of the other corpus, or if it has that study's id.

    Returns
    -------
    Coordinates
    """
    import scipy.sparse as sp

    mm = np.rint(np.concatenate([extra.xyz_mm, of.xyz_mm])).astype(np.int64)
    keys = np.unique(mm @ [1 << 40, 1 << 20, 1], return_inverse=True)[1]
    width = keys.max(initial=-1) + 1
    left, right = (
        sp.csr_matrix((np.ones(c.n_foci, np.float32), (c.study, k)), (c.n_studies, width)).sign()
        for c, k in ((extra, keys[: extra.n_foci]), (of, keys[extra.n_foci :]))
    )
    common = (left @ right.T).max(axis=1).toarray().ravel()
    copied = (common >= 3) & (common >= share * np.maximum(extra.counts, 1))
    return extra.take(np.flatnonzero(~copied & ~np.isin(extra.id, of.id)))


def check_row_order(topics: NDArray, names: tuple[str, ...], titles: NDArray, path: Path) -> None:
    """Refuse topic weights whose rows are not the studies': the file itself holds no ids.

    A study whose title has a topic's leading word should weigh that topic more than others do.
    """
    lines = [title.lower().replace("\n", " ") for title in titles.tolist()]
    text = "\n".join(lines)
    starts = np.cumsum([0] + [len(line) + 1 for line in lines[:-1]])
    higher, tested = 0, 0
    for name, weight in zip(names, topics.T, strict=True):
        word = "".join(name.split("_")[1:2])
        if len(word) < 5:
            continue
        at = [text.find(word)]
        while at[-1] >= 0:
            at.append(text.find(word, at[-1] + 1))
        found = np.zeros(len(lines), bool)
        found[np.searchsorted(starts, at[:-1], side="right") - 1] = True
        if 10 <= found.sum() < len(lines) / 2:
            tested += 1
            higher += weight[found].mean() > 1.5 * weight[~found].mean()
    if tested >= 5 and higher < 0.8 * tested:
        raise ValueError(
            f"{path}: only {higher} of {tested} topics weigh more in studies that have the topic's word in their "
            "title; the rows are in another order than the metadata's"
        )


def to_nimare(corpus: Coordinates):
    """The corpus as a ``nimare.dataset.Dataset``, for its meta-analyses.

    Its deprecation in favour of ``Studyset`` is NiMARE's; ``Dataset.to_studyset`` converts.
    """
    from nimare.dataset import Dataset

    if not corpus.standardised:
        corpus = corpus.standardise()
    studies = {}
    for i, study in enumerate(corpus.id):
        x, y, z = corpus.xyz_mm[corpus.first[i] : corpus.first[i + 1]].T.tolist()
        contrast = {"coords": {"space": "MNI", "x": x, "y": y, "z": z}, "metadata": {"sample_sizes": None}}
        studies[str(study)] = {"metadata": {"title": str(corpus.title[i])}, "contrasts": {"1": contrast}}
    return Dataset(studies, target="mni152_2mm")


def from_nimare(dataset) -> Coordinates:
    """A corpus from a ``nimare`` Dataset or Studyset; its coordinates are in MNI space already."""
    table = dataset.coordinates
    ids, study = np.unique(table["id"].to_numpy(str), return_inverse=True)
    order = np.argsort(study, kind="stable")
    xyz = table[["x", "y", "z"]].to_numpy(float)[order]
    return tiny(xyz, study[order], id=ids, standardised=True)


def _table(path: Path, numbers: Sequence[str], texts: Sequence[str] = ()):
    """A gzipped table with these columns, whole and with finite numbers; a year may be missing."""
    import pandas

    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there; set NEUROLIB_DATA to the folder that holds the data")
    try:
        table = pandas.read_table(path)
    except EOFError:
        raise ValueError(f"{path} ends in the middle: a download that broke off; fetch it again") from None
    except (
        pandas.errors.ParserError,
        pandas.errors.EmptyDataError,
        OSError,
        ValueError,
        zlib.error,
    ) as error:
        raise ValueError(f"{path} is not a gzipped table: {error}; fetch it again") from None
    missing = [name for name in (*numbers, *texts) if name not in table]
    if missing:
        raise ValueError(
            f"{path} has no column {missing[0]!r}, only {', '.join(table)}; is it another version?"
        )
    for name in numbers:
        try:
            values = table[name].to_numpy(float)
        except ValueError as error:
            raise ValueError(f"{path}, column {name!r}: {error}") from None
        if name != "year" and not np.isfinite(values).all():
            row = int(np.flatnonzero(~np.isfinite(values))[0])
            raise ValueError(f"{path}, line {row + 2}: {name} is {values[row]}; a number is missing")
    return table


def _topics(folder: Path, n_studies: int) -> tuple[NDArray, tuple[str, ...]]:
    """Topic weights (study, topic), rows summing to one, and the topics' names."""
    import scipy.sparse as sp

    path, vocabulary = folder / f"{NEUROSYNTH}{TOPICS}", folder / f"{NEUROSYNTH}{TOPIC_NAMES}"
    for file in (path, vocabulary):
        if not file.is_file():
            raise FileNotFoundError(
                f"{file} is not there; set NEUROLIB_DATA to the folder that holds the data"
            )
    try:
        weights = sp.load_npz(path).toarray().astype(np.float32)
    except Exception as error:
        raise ValueError(f"{path} is not a sparse matrix: {error}") from None
    names = tuple(vocabulary.read_text(encoding="utf-8").split())
    if weights.shape != (n_studies, len(names)):
        raise ValueError(
            f"{path} holds {weights.shape} weights for {n_studies} studies and {len(names)} topics; "
            "the files are not of one version"
        )
    if not np.isfinite(weights).all():
        raise ValueError(f"{path}: {(~np.isfinite(weights)).sum()} weights are not finite")
    return weights, names


def _corpus(foci, studies, files: Sequence[Path], **known) -> Coordinates:
    """Foci and studies joined by id, sorted by study."""
    ids = studies["id"].to_numpy()
    if len(np.unique(ids)) != len(ids):
        raise ValueError(f"{files[1]}: {len(ids) - len(np.unique(ids))} study ids occur more than once")
    order = np.argsort(ids)
    at = np.searchsorted(ids[order], foci["id"].to_numpy())
    row = order[np.minimum(at, len(ids) - 1)]
    lost = ids[row] != foci["id"].to_numpy()
    if lost.any():
        raise ValueError(
            f"{files[0]}: {lost.sum()} foci are of studies that {files[1].name} does not have, the first of "
            f"study {foci['id'].to_numpy()[lost][0]}; the files are not of one version"
        )
    empty = np.bincount(row, minlength=len(ids)) == 0
    if empty.any():
        raise ValueError(
            f"{files[1]}: {empty.sum()} studies have no foci in {files[0].name}, the first is {ids[empty][0]}; "
            "the files are not of one version"
        )
    by_study = np.argsort(row, kind="stable")
    for name in ("table", "focus_id"):
        known[name] = known[name][by_study]
    blank = {
        "year": np.full(len(ids), np.nan),
        "journal": np.full(len(ids), ""),
        "title": np.full(len(ids), ""),
        "topics": np.zeros((len(ids), 0), np.float32),
    }
    xyz = foci[["x", "y", "z"]].to_numpy(float)[by_study]
    try:
        return Coordinates(xyz, row[by_study], id=ids, **(blank | known))
    except ValueError as error:  # what no table of its own can tell, such as the name of a space
        raise ValueError(f"{files[1]}: {error}") from None


def load_abstracts(folder: Path | None = None):
    """Word counts of the abstracts of NeuroQuery's studies: ids, counts (study, word) and the words.

    Raises
    ------
    FileNotFoundError, ValueError
        If a file is missing, or the three do not belong together.
    """
    import scipy.sparse as sp

    if folder is None:
        folder = catalog.require("neuroquery")[0].parent
    path = folder / f"{NEUROQUERY}{ABSTRACTS}"
    ids = _table(folder / f"{NEUROQUERY}metadata.tsv.gz", ["id"])["id"].to_numpy()
    words = (folder / f"{NEUROQUERY}{WORDS}").read_text(encoding="utf-8").split("\n")
    words = [line.split(",")[0].strip() for line in words if line.strip()]
    try:
        counts = sp.load_npz(path).tocsr()
    except Exception as error:
        raise ValueError(f"{path} is not a sparse matrix: {error}") from None
    if counts.shape != (len(ids), len(words)):
        raise ValueError(f"{path} holds {counts.shape} counts for {len(ids)} studies and {len(words)} words")
    return ids, counts, words
