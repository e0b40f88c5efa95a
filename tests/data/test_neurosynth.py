"""The loaders on small files of the published layout, and on the recorded ones where they are."""

import gzip
import zlib

import numpy as np
import pytest
import scipy.sparse as sp

from neurolib.data import catalog, neurosynth
from neurolib.data.brain import Grid
from neurolib.data.coordinates import Coordinates, tiny
from neurolib.data.neurosynth import (
    NEUROQUERY,
    NEUROSYNTH,
    TOPIC_NAMES,
    TOPICS,
    load_neuroquery,
    load_neurosynth,
    without_copies,
)

WORDS = ("motor", "visual", "language", "memory", "reward", "social")
COORDINATES, METADATA = f"{NEUROSYNTH}coordinates.tsv.gz", f"{NEUROSYNTH}metadata.tsv.gz"


class Files:
    """The four files of Neurosynth in small: 20 studies of each topic; a test may change a row before write()."""

    def __init__(self, folder):
        draw = np.random.default_rng(0)
        n = 20 * len(WORDS)
        topic = draw.permutation(np.arange(n) % len(WORDS))
        ids = 9_000_000 + draw.permutation(5 * n)[:n]
        spaces = draw.choice(["MNI", "TAL", "UNKNOWN"], n, p=[0.7, 0.2, 0.1])
        self.folder, self.topic = folder, topic
        self.metadata = [["id", "doi", "space", "title", "authors", "year", "journal"]]
        self.foci = [["id", "table_id", "table_num", "peak_id", "x", "y", "z"]]
        for i in range(n):
            title = f"An fMRI study of {WORDS[topic[i]].capitalize()} things, part {i}"
            self.metadata.append([ids[i], "", spaces[i], title, "A. Nonymous", 2000 + i % 19, "Brain"])
            for k in range(draw.integers(1, 9)):
                xyz = 2 * np.rint(draw.normal([0, -20, 15], [20, 25, 15]) / 2)
                self.foci.append([ids[i], 100 * i + k // 4, "1.", 10_000 * i + k, *xyz])
        self.foci[1:] = [self.foci[1 + j] for j in draw.permutation(len(self.foci) - 1)]
        self.weights = 0.02 + 0.88 * np.eye(len(WORDS))[topic]
        self.names = [f"{i}_{word}_more_words" for i, word in enumerate(WORDS)]

    def write(self):
        for name, rows in ((COORDINATES, self.foci), (METADATA, self.metadata)):
            text = "".join("\t".join(map(str, row)) + "\n" for row in rows)
            (self.folder / name).write_bytes(gzip.compress(text.encode(), mtime=0))
        sp.save_npz(self.folder / f"{NEUROSYNTH}{TOPICS}", sp.csr_matrix(self.weights))
        (self.folder / f"{NEUROSYNTH}{TOPIC_NAMES}").write_text("\n".join(self.names))
        return self.folder


@pytest.fixture
def files(tmp_path):
    return Files(tmp_path)


def test_what_the_files_say_is_in_the_corpus_study_by_study(files):
    corpus = load_neurosynth(files.write(), clean=False)
    assert corpus.n_studies == 120 and corpus.n_foci == len(files.foci) - 1
    assert not corpus.standardised and not corpus.simulated
    for i, (id, _, space, title, _, year, journal) in enumerate(files.metadata[1:]):
        assert (corpus.id[i], corpus.space[i], corpus.title[i]) == (id, space, title)
        assert (corpus.year[i], corpus.journal[i]) == (year, journal)
        rows = [row for row in files.foci[1:] if row[0] == id]
        foci = slice(corpus.first[i], corpus.first[i + 1])
        np.testing.assert_array_equal(corpus.xyz_mm[foci], [row[4:] for row in rows])
        np.testing.assert_array_equal(corpus.table[foci], [row[1] for row in rows])
        np.testing.assert_array_equal(corpus.focus_id[foci], [row[3] for row in rows])
    np.testing.assert_allclose(corpus.topics, files.weights, rtol=1e-6)
    assert corpus.topic_names == tuple(files.names)


def test_cleaning_moves_thins_and_drops_and_two_readings_are_the_same(files):
    files.foci[1][4:] = files.foci[2][4:] = [150.0, 150, 150]  # far outside
    twice = [*files.foci[3][:3], 999_999, *files.foci[3][4:]]
    files.foci.append(twice)
    raw, clean = (load_neurosynth(files.write(), clean=c) for c in (False, True))
    grid = Grid.mni(4)
    assert clean.standardised and (clean.voxels(grid) >= 0).all()
    expected = raw.standardise().deduplicate()
    assert len(expected.id) == 120 and not np.isin(999_999, expected.focus_id)
    far = np.isin(expected.focus_id, [files.foci[1][3], files.foci[2][3]])
    near = grid.snap(expected.dequantised()) >= 0
    assert not near[far].any() and near.mean() > 0.95
    np.testing.assert_array_equal(clean.focus_id, expected.focus_id[near])
    assert len(clean.log) == 3
    again = load_neurosynth(files.folder)
    np.testing.assert_array_equal(again.xyz_mm, clean.xyz_mm)
    np.testing.assert_array_equal(again.voxels(grid), clean.voxels(grid))


def empty_study(files):
    id = files.metadata[2][0]
    files.foci = [row for row in files.foci if row[0] != id]


def unknown_study(files):
    files.foci[5][0] = 123


BAD = {
    "no number": (
        lambda f: f.foci[4].__setitem__(5, ""),
        COORDINATES,
        "line 5: y is nan; a number is missing",
    ),
    "infinite": (lambda f: f.foci[4].__setitem__(5, "inf"), COORDINATES, "line 5: y is inf"),
    "text": (lambda f: f.foci[4].__setitem__(4, "n.s."), COORDINATES, "column 'x': .*n.s."),
    "no id": (lambda f: f.foci[3].__setitem__(0, ""), COORDINATES, "line 4: id is nan"),
    "header": (
        lambda f: f.foci[0].__setitem__(4, "X"),
        COORDINATES,
        "no column 'x', only id, .* another version",
    ),
    "no header": (lambda f: f.foci.pop(0), COORDINATES, "no column 'id'"),
    "year": (lambda f: f.metadata[7].__setitem__(5, "in press"), METADATA, "column 'year': .*in press"),
    "space": (lambda f: f.metadata[7].__setitem__(2, "SPM99"), METADATA, "space 'SPM99' is none of MNI, TAL"),
    "twice": (lambda f: f.metadata.append(f.metadata[3]), METADATA, "1 study ids occur more than once"),
    "no foci": (empty_study, METADATA, "1 studies have no foci in .*coordinates.* not of one version"),
    "no study": (unknown_study, COORDINATES, "1 foci are of studies that .*metadata.* first of study 123"),
    "rows": (lambda f: setattr(f, "weights", f.weights[:-1]), TOPICS, r"\(119, 6\) weights for 120 studies"),
    "names": (lambda f: f.names.pop(), TOPICS, "120 studies and 5 topics"),
    "order": (
        lambda f: setattr(f, "weights", np.roll(f.weights, 1, axis=0)),
        TOPICS,
        "rows are in another order",
    ),
    "weights": (lambda f: f.weights.__setitem__((3, 3), np.nan), TOPICS, "1 weights are not finite"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_content_is_one_error_that_names_the_file(name, files):
    spoil, file, message = BAD[name]
    spoil(files)
    if name == "twice":  # keep the number of topics right
        files.weights = np.vstack([files.weights, files.weights[2:3]])
    with pytest.raises(ValueError, match=f"{file}.*{message}") as raised:
        load_neurosynth(files.write(), clean=False)
    assert raised.value.__suppress_context__ or raised.value.__context__ is None


@pytest.mark.parametrize(
    "name", [COORDINATES, METADATA, f"{NEUROSYNTH}{TOPICS}", f"{NEUROSYNTH}{TOPIC_NAMES}"]
)
def test_damaged_and_missing_files_are_named(name, files):
    path = files.write() / name
    whole = path.read_bytes()
    if not name.endswith(".txt"):
        middle = len(whole) // 2
        spoilt = bytes(255 - b for b in whole[middle : middle + 40])
        for content in (whole[:middle], whole[:middle] + spoilt + whole[middle + 40 :], b"<html>", b""):
            path.write_bytes(content)
            with pytest.raises(ValueError, match=name):
                load_neurosynth(files.folder)
    path.unlink()
    with pytest.raises(FileNotFoundError, match=f"{name} is not there"):
        load_neurosynth(files.folder)


def test_a_download_that_broke_off_is_called_that(files):
    path = files.write() / COORDINATES
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match=f"{COORDINATES} ends in the middle"):
        load_neurosynth(files.folder)


def test_a_plain_deflated_stream_is_no_gzip(files):
    path = files.write() / METADATA
    path.write_bytes(zlib.compress(b"id\tyear\n1\t2000\n"))
    with pytest.raises(ValueError, match=f"{METADATA} is not a gzipped table"):
        load_neurosynth(files.folder)


def test_what_was_read_is_kept_until_a_byte_of_the_files_changes(files, monkeypatch):
    cache = files.folder / "cache"
    first = load_neurosynth(files.write(), cache=cache)
    with monkeypatch.context() as patch:
        patch.setattr(neurosynth, "_table", lambda *args: pytest.fail("read the files again"))
        again = load_neurosynth(files.folder, cache=cache)
    np.testing.assert_array_equal(first.xyz_mm, again.xyz_mm)
    assert first.log == again.log and first.topic_names == again.topic_names
    assert len(list(cache.iterdir())) == 1
    files.foci.pop()
    assert load_neurosynth(files.write(), clean=False, cache=cache).n_foci == len(files.foci) - 1
    for kept in cache.iterdir():
        kept.write_bytes(kept.read_bytes()[:100])
    assert load_neurosynth(files.folder, clean=False, cache=cache).n_foci == len(files.foci) - 1


def test_neuroquery_has_tables_of_its_own_names_and_no_space(tmp_path):
    foci = "id\ttable_id\ttable_name\tx\ty\tz\n7\tt1\tTable 1\t1\t2\t3\n5\tt1\tTable 1\t4\t5\t6\n7\tt2\tT\t7\t8\t9\n"
    (tmp_path / f"{NEUROQUERY}coordinates.tsv.gz").write_bytes(gzip.compress(foci.encode()))
    (tmp_path / f"{NEUROQUERY}metadata.tsv.gz").write_bytes(gzip.compress(b"id\ttitle\n5\tFive\n7\t\n"))
    corpus = load_neuroquery(tmp_path, clean=False)
    assert corpus.id.tolist() == [5, 7] and corpus.title.tolist() == ["Five", ""]
    np.testing.assert_array_equal(corpus.xyz_mm, [[4, 5, 6], [1, 2, 3], [7, 8, 9]])
    assert len(set(corpus.table)) == 3  # t1 of study 5 is not t1 of study 7
    assert set(corpus.space) == {"UNKNOWN"} and np.isnan(corpus.year).all() and corpus.topics.shape == (2, 0)


def test_copies_are_found_by_id_or_by_half_of_their_foci():
    draw = np.random.default_rng(0)
    xyz = np.rint(draw.normal(0, 30, (40, 3)))
    ours = tiny(xyz, np.arange(40) // 10, id=np.arange(4), standardised=True)
    same_id = draw.normal(0, 30, (5, 3))
    half = np.vstack([xyz[:5], draw.normal(200, 30, (5, 3))])
    fewer = np.vstack([xyz[10:14], draw.normal(200, 30, (6, 3))])
    two = xyz[20:22]  # two foci alike say little
    new = draw.normal(0, 30, (8, 3))
    foci = np.vstack([same_id, half, fewer, two, new])
    rows = np.repeat(np.arange(5), [5, 10, 10, 2, 8])
    extra = tiny(foci, rows, id=np.array([3, 10, 11, 12, 13]), standardised=True)
    assert without_copies(extra, ours).id.tolist() == [11, 12, 13]
    assert without_copies(extra, ours, share=0.4).id.tolist() == [12, 13]
    assert without_copies(ours, ours).n_studies == 0


@pytest.mark.filterwarnings("ignore::FutureWarning")  # NiMARE's Dataset will go
def test_nimare_gets_the_same_foci_and_gives_them_back(files):
    pytest.importorskip("nimare", reason="the peer is an optional package")
    corpus = load_neurosynth(files.write(), clean=False).take(np.arange(12))
    dataset = neurosynth.to_nimare(corpus)
    moved = corpus.standardise()
    back = neurosynth.from_nimare(dataset)
    assert back.standardised and back.n_studies == 12
    for i, id in enumerate(back.id):
        row = int(np.flatnonzero(corpus.id == int(id.split("-")[0]))[0])
        expected = moved.xyz_mm[moved.first[row] : moved.first[row + 1]]
        found = back.xyz_mm[back.first[i] : back.first[i + 1]]
        np.testing.assert_allclose(np.sort(found, 0), np.sort(expected, 0), atol=1e-6)


needs_neurosynth = pytest.mark.skipif(not catalog.is_present("neurosynth"), reason="no recorded data")


@pytest.fixture(scope="module")
def recorded() -> Coordinates:
    return load_neurosynth(clean=False)


@needs_neurosynth
def test_the_recorded_corpus_has_its_published_size(recorded):
    assert (recorded.n_studies, recorded.n_foci) == (14_371, 507_891)
    assert recorded.topics.shape == (14_371, 50)
    np.testing.assert_allclose(recorded.topics.sum(1), 1, atol=1e-4)
    assert dict(zip(*np.unique(recorded.space, return_counts=True), strict=True)) == {
        "MNI": 10_204,
        "TAL": 2_335,
        "UNKNOWN": 1_832,
    }
    assert (recorded.year.min(), recorded.year.max()) == (1997, 2018)


@needs_neurosynth
def test_the_recorded_corpus_has_known_duplicates(recorded):
    thinned = recorded.deduplicate()
    assert 1 - thinned.n_foci / recorded.n_foci == pytest.approx(0.119, abs=1e-3)
    size = np.unique(recorded.duplicate_groups, return_counts=True)[1]
    assert (size > 1).sum() == 34 and (size - 1).sum() == 62  # 62 studies repeat another's foci


@needs_neurosynth
def test_recorded_coordinates_are_on_a_lattice_until_dequantised(recorded):
    grid = Grid.mni(4)
    raw, spread = ((grid.nearest(xyz) % 2 == 0).mean(0) for xyz in (recorded.xyz_mm, recorded.dequantised()))
    assert (np.abs(raw - 0.5) > 0.1).all()
    np.testing.assert_allclose(spread, 0.5, atol=0.01)


@needs_neurosynth
def test_the_recorded_features_are_in_the_order_of_the_studies_and_another_order_is_noticed(recorded):
    check = neurosynth.check_row_order
    args = recorded.topic_names, recorded.title, "features.npz"
    check(recorded.topics, *args)
    with pytest.raises(ValueError, match=r"features.npz: only .* another order"):
        check(np.roll(recorded.topics, 1, axis=0), *args)


@pytest.mark.skipif(not catalog.is_present("neuroquery"), reason="no recorded data")
def test_neuroquery_has_its_published_size():
    corpus = load_neuroquery(clean=False)
    assert (corpus.n_studies, corpus.n_foci) == (13_459, 469_260)
