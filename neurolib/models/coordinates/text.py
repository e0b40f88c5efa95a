"""What studies write about themselves as numbers: titles, abstracts and topics in, one vector a study out."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_matrix

from neurolib.data.coordinates import Coordinates


@dataclass(frozen=True)
class TextConfig:
    """How a study's text becomes numbers.

    Parameters
    ----------
    title, abstract : int
        Singular vectors of the weighted words to keep; 0 leaves the source out.
    min_studies : int
        Words and pairs of words of fewer training titles are left out.
    """

    title: int = 96
    abstract: int = 128
    min_studies: int = 5

    def __post_init__(self):
        if self.title < 0 or self.abstract < 0 or self.min_studies < 1:
            raise ValueError(f"title={self.title}, abstract={self.abstract} must not be negative")


class StudyText:
    """Topics, titles and abstracts of studies as one description; fitted on training studies alone.

    What is not known of a study is zero, and a flag beside it says so.

    Parameters
    ----------
    cfg : TextConfig
    """

    def __init__(self, cfg: TextConfig = TextConfig()):
        self.cfg = cfg

    def fit_transform(
        self,
        corpus: Coordinates,
        train: ArrayLike,
        abstracts: tuple[NDArray, csr_matrix] | None = None,
    ) -> NDArray:
        """Learn words from the training studies and describe all.

        Parameters
        ----------
        corpus : Coordinates
        train : array of int
            Rows of the studies to learn from.
        abstracts : (array of int, sparse matrix), optional
            Study ids and counts ``(id, word)``, from :func:`neurolib.data.neurosynth.load_abstracts`.

        Returns
        -------
        array, shape (n_studies, n_numbers)
            First the square roots of the topics' weights, whether there are any, and the year in units
            of four years from 2011; these ``n_brief`` numbers are what small models are told. Then words.
        """
        from sklearn.feature_extraction.text import TfidfTransformer, TfidfVectorizer

        train = np.asarray(train)
        has_topics = corpus.topics.sum(1) > 0
        parts = [
            np.sqrt(corpus.topics),
            has_topics[:, None],
            np.nan_to_num((corpus.year - 2011) / 4)[:, None],
        ]
        self.names = [*corpus.topic_names, "has topics", "year"]
        self.n_brief = len(self.names)
        if self.cfg.title:
            words = TfidfVectorizer(
                sublinear_tf=True, min_df=self.cfg.min_studies, stop_words="english", ngram_range=(1, 2)
            )
            words.fit(corpus.title[train])
            parts.append(_components(words.transform(corpus.title), train, self.cfg.title))
            self.names += [f"title {i}" for i in range(parts[-1].shape[1])]
        if self.cfg.abstract and abstracts is not None:
            ids, counts = abstracts
            row = {value: i for i, value in enumerate(ids.tolist())}
            at = np.array([row.get(value, -1) for value in corpus.id.tolist()])
            known = np.flatnonzero(at >= 0)
            fitted = np.intersect1d(known, train)
            weighted = (
                TfidfTransformer(sublinear_tf=True).fit(counts[at[fitted]]).transform(counts[at[known]])
            )
            vectors = _components(weighted, np.searchsorted(known, fitted), self.cfg.abstract)
            full = np.zeros((corpus.n_studies, vectors.shape[1]))
            full[known] = vectors
            parts += [full, (at >= 0)[:, None]]
            self.names += [*(f"abstract {i}" for i in range(vectors.shape[1])), "has abstract"]
        return np.concatenate(parts, 1).astype(np.float32)


def _components(weighted: csr_matrix, train: NDArray, n: int) -> NDArray:
    """Leading singular vectors; their mean standard deviation over the training rows is a third, as topics vary."""
    from sklearn.decomposition import TruncatedSVD

    n = min(n, weighted.shape[1] - 1, len(train) - 1)
    vectors = TruncatedSVD(n, n_iter=3, random_state=0).fit(weighted[train]).transform(weighted)
    return vectors / (3 * vectors[train].std(0).mean())
