"""A corpus of foci: moved once, thinned by rule, and the same in every run."""

from dataclasses import fields, replace

import numpy as np
import pytest

from neurolib.data.brain import Grid
from neurolib.data.coordinates import Coordinates, tal_to_mni, tiny


def corpus() -> Coordinates:
    """Six studies of whole millimetres, mostly even, in three spaces."""
    draw = np.random.default_rng(0)
    study = np.repeat(np.arange(6), [40, 3, 25, 1, 60, 12])
    xyz = draw.normal([0, -20, 15], [25, 30, 20], (len(study), 3))
    xyz = 2 * np.rint(xyz / 2) + (draw.random(xyz.shape) < 0.1)
    known = {
        "space": np.array(["MNI", "TAL", "TAL", "UNKNOWN", "MNI", "TAL"]),
        "id": np.array([7, 3, 11, 5, 2, 13]),
        "year": np.array([2001, 2004, np.nan, 2010, 2011, 2016]),
        "title": np.array([f"study {i}" for i in range(6)]),
        "topics": draw.dirichlet(np.ones(4), 6).astype(np.float32),
        "topic_names": ("a", "b", "c", "d"),
    }
    return tiny(xyz, study, **known)


def same(a: Coordinates, b: Coordinates) -> None:
    for field in fields(Coordinates):
        left, right = getattr(a, field.name), getattr(b, field.name)
        assert type(left) is type(right), field.name
        np.testing.assert_array_equal(left, right, err_msg=field.name)


def test_talairach_coordinates_go_where_nimare_takes_them():
    peer = pytest.importorskip("nimare.utils", reason="the peer is an optional package")
    xyz = np.random.default_rng(0).uniform(-70, 70, (50, 3))
    np.testing.assert_allclose(tal_to_mni(xyz), peer.tal2mni(xyz), atol=1e-9)
    np.testing.assert_allclose(peer.mni2tal(tal_to_mni(xyz)), xyz, atol=1e-9)


def test_only_talairach_studies_are_moved_and_only_once():
    before = corpus()
    after = before.standardise()
    tal = np.isin(before.study, [1, 2, 5])
    np.testing.assert_array_equal(after.xyz_mm[~tal], before.xyz_mm[~tal])
    np.testing.assert_allclose(after.xyz_mm[tal], tal_to_mni(before.xyz_mm[tal]))
    assert np.linalg.norm(after.xyz_mm - before.xyz_mm, axis=1)[tal].min() > 1
    same(after.standardise(), after)
    assert after.standardised and not before.standardised and after.space[1] == "TAL"
    assert f"{tal.sum()} foci moved" in after.log[-1]


def test_one_focus_per_millimetre_study_and_sign_is_kept_and_of_equal_ones_that_of_most_subjects():
    at = [[10.0, 0, 0], [10.2, 0.3, -0.4], [10, 0, 0], [10, 0, 0], [11, 0, 0], [10, 0, 0]]
    foci = tiny(at, study=[0, 0, 0, 0, 0, 1])
    sign, subjects = [1, 1, -1, 1, 1, 1], [12, 30, 8, 20, np.nan, 5]
    assert foci.deduplicate().focus_id.tolist() == [0, 4, 5]
    assert foci.deduplicate(sign).focus_id.tolist() == [0, 2, 4, 5]
    assert foci.deduplicate(sign, subjects).focus_id.tolist() == [1, 2, 4, 5]
    assert foci.deduplicate(n_subjects=[np.nan, 4, np.nan, 4, 4, 4]).focus_id.tolist() == [1, 4, 5]
    assert "6 to 3 foci, 2 to 2 studies" in foci.deduplicate().log[-1]


def test_deduplication_is_that_of_a_loop():
    foci = corpus()
    foci = replace(foci, xyz_mm=np.rint(foci.xyz_mm / 12) * 12)
    seen, kept = set(), []
    for row, (study, xyz) in enumerate(zip(foci.study, foci.xyz_mm, strict=True)):
        key = (int(study), *map(int, xyz))
        if key not in seen:
            kept.append(row)
        seen.add(key)
    found = foci.deduplicate()
    np.testing.assert_array_equal(found.focus_id, kept)
    assert len(kept) < foci.n_foci
    same(found.deduplicate(), replace(found, log=found.deduplicate().log))


def test_dequantising_takes_the_lattice_away_and_is_a_function_of_the_focus_alone():
    draw = np.random.default_rng(0)
    n = 40_000
    xyz = 2.0 * draw.integers(-15, 16, (n, 3))  # even millimetres, as most articles print
    foci = tiny(xyz, np.zeros(n, int), standardised=True)
    grid = Grid.mni(4)
    even = [(grid.nearest(points) % 2 == 0).mean(0) for points in (xyz, foci.dequantised())]
    assert (np.abs(even[0] - 0.5) > 0.1).all()
    np.testing.assert_allclose(even[1], 0.5, atol=0.02)
    offset = foci.dequantised() - xyz
    assert np.abs(offset).max() <= 1 and np.abs(offset.mean(0)).max() < 0.02
    np.testing.assert_allclose(offset.std(0), 1 / np.sqrt(3), rtol=0.02)
    assert np.abs(np.corrcoef(offset.T) - np.eye(3)).max() < 0.02
    some = foci.keep(np.arange(n) % 7 == 3, "every seventh")
    np.testing.assert_array_equal(some.dequantised(), foci.dequantised()[3::7])


def test_foci_just_outside_are_moved_in_and_far_ones_are_an_error_that_says_where():
    grid = Grid.mni(4)
    top = grid.centres_mm[np.argmax(grid.centres_mm[:, 2])]
    x, y, z = top
    foci = tiny([[0, 0, 0], [x, y, z + 5], [x, y, z + 30]], study=[0, 0, 1], id=np.array([4, 99]))
    with pytest.raises(ValueError, match=r"1 of 3 foci lie more than 8 mm outside .* in study 99"):
        foci.voxels(grid)
    inside = foci.inside(grid)
    assert inside.focus_id.tolist() == [0, 1] and inside.id.tolist() == [4]
    assert (inside.voxels(grid) >= 0).all()
    assert "3 to 2 foci, 2 to 1 studies" in inside.log[-1]


def test_studies_with_the_same_millimetres_in_any_order_share_a_group():
    at = [[1.0, 2, 3], [4, 5, 6], [4, 5, 6], [1.2, 2, 3], [4, 5, 6], [1, 2, 3]]
    groups = tiny(at, study=[0, 0, 1, 1, 3, 5]).duplicate_groups
    assert groups[0] == groups[1] and len(set(groups.tolist())) == 5  # two without foci are not alike


def test_taking_studies_takes_their_foci_in_that_order():
    whole = corpus()
    some = whole.take([4, 1])
    np.testing.assert_array_equal(
        some.xyz_mm, np.concatenate([whole.xyz_mm[whole.study == i] for i in (4, 1)])
    )
    assert some.id.tolist() == [2, 3] and some.counts.tolist() == [60, 3]
    np.testing.assert_array_equal(some.topics, whole.topics[[4, 1]])
    same(whole.take(np.arange(6)), whole)


def test_features_are_found_by_id_in_whatever_order_they_come():
    whole = corpus()
    order = np.random.default_rng(1).permutation(6)
    weights = np.arange(12.0).reshape(6, 2)
    ids = np.r_[whole.id[order], 999]
    found = whole.with_topics(ids, np.vstack([weights[order], [[-1, -1]]]), ["x", "y"])
    np.testing.assert_array_equal(found.topics, weights)
    assert found.topic_names == ("x", "y")
    with pytest.raises(
        ValueError, match=r"1 of 6 studies have no features, the first is 7; .* another version"
    ):
        whole.with_topics(whole.id[1:], weights[1:], ["x", "y"])
    with pytest.raises(ValueError, match="1 ids of the features occur more than once"):
        whole.with_topics(np.r_[whole.id[:5], 7], weights, ["x", "y"])
    with pytest.raises(ValueError, match="1 feature weights are not finite"):
        whole.with_topics(whole.id, np.where(weights == 3, np.nan, weights), ["x", "y"])
    with pytest.raises(ValueError, match=r"weights \(6, 2\) for 6 ids and 1 names"):
        whole.with_topics(whole.id, weights, ["x"])


def test_joining_adds_studies_with_new_ids_alone():
    ours = corpus().standardise()
    other = tiny([[0.0, 0, 0], [5, 5, 5], [6, 6, 6]], [0, 1, 1], id=np.array([11, 50]), standardised=True)
    both = ours.joined(other)
    assert both.id.tolist() == [*ours.id.tolist(), 50] and both.n_foci == ours.n_foci + 2
    np.testing.assert_array_equal(both.xyz_mm[-2:], [[5, 5, 5], [6, 6, 6]])
    assert both.counts[-1] == 2 and not both.topics[-1].any()
    assert set(both.table[-2:]).isdisjoint(both.table[:-2])
    with pytest.raises(ValueError, match="standardise both"):
        corpus().joined(other)


def test_what_is_written_is_read_back_without_pickles(tmp_path):
    whole = corpus().standardise().deduplicate()
    whole.save(tmp_path / "corpus.npz")
    same(Coordinates.load(tmp_path / "corpus.npz"), whole)
    with np.load(tmp_path / "corpus.npz", allow_pickle=False) as file:
        assert all(file[name].dtype != object for name in file.files)
    for name, content in {
        "cut.npz": (tmp_path / "corpus.npz").read_bytes()[:500],
        "text.npz": b"id\tx",
    }.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=rf"{name} is not a corpus"):
            Coordinates.load(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        Coordinates.load(tmp_path / "none.npz")


def test_nothing_is_random():
    grid = Grid.mni(4)
    first, second = (corpus().standardise().deduplicate().inside(grid) for _ in range(2))
    same(first, second)
    np.testing.assert_array_equal(first.voxels(grid), second.voxels(grid))
    # written down once: another machine, or another version of NumPy, must add the same
    offsets = [[0.76662162, -0.13694401, -0.94713246], [0.94176396, -0.78730662, -0.34534847]]
    np.testing.assert_allclose(tiny(np.zeros((2, 3)), [0, 0]).dequantised(), offsets, atol=1e-8)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"xyz_mm": np.full((141, 3), np.nan)}, "focus 0 is at .* missing or not a number"),
        ({"xyz_mm": np.zeros((141, 2))}, "one row per focus"),
        (
            {"space": np.array(["MNI", "TAL", "SPM", "MNI", "MNI", "MNI"])},
            "'SPM' is none of MNI, TAL, UNKNOWN",
        ),
        ({"year": np.zeros(5)}, "year has 5 rows for 6 studies"),
        ({"topic_names": ("a",)}, r"topics \(6, 4\) for 1 topic names"),
        ({"study": np.arange(141)[::-1] // 30}, "sorted by study"),
        ({"study": np.full(141, 6)}, "study rows 6 to 6 for 6 studies"),
    ],
)
def test_a_corpus_that_does_not_fit_together_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        replace(corpus(), **change)
