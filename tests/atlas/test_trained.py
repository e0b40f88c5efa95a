"""From a corpus to a kept atlas, its scores and its files; small, on simulated studies and 8 mm voxels."""

import json
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest

from neurolib import cli
from neurolib.atlas import trained as module
from neurolib.atlas.corpus import PLAIN_TEXT, load_corpus, prepared
from neurolib.atlas.export import decoder_of, export
from neurolib.atlas.held_out import HeldOut
from neurolib.atlas.trained import AtlasConfig, best_available, place, train, trained
from neurolib.data.brain import Grid
from neurolib.data.coordinate_simulator import CorpusSimulator
from neurolib.data.neurosynth import cleaned
from neurolib.metrics.density_gain import gain
from neurolib.models.coordinates.density_vae import DensityVAEConfig

TINY = AtlasConfig(
    DensityVAEConfig(latent=4, hidden=24, warmup=10),
    n_members=2,
    steps=24,
    batch_size=32,
    text_hidden=16,
    text_steps=12,
)


@pytest.fixture(scope="module")
def corpus():
    studies = cleaned(CorpusSimulator(n_studies=240).simulate(0)[0])
    second = cleaned(CorpusSimulator(n_studies=60).simulate(1)[0])
    second = replace(second, id=second.id + 10_000)
    text = replace(PLAIN_TEXT, title=4, abstract=0)
    return prepared(studies, second, text=text, grid=Grid.mni(8))


@pytest.fixture(scope="module")
def atlas(corpus, tmp_path_factory):
    return trained(corpus, TINY, "cpu", tmp_path_factory.mktemp("cache"))


def test_studies_of_the_second_corpus_are_only_trained_on(corpus):
    assert corpus.n_own == 240
    assert set(range(240, 300)) <= set(corpus.split.train.tolist())
    assert max(corpus.split.valid.max(), corpus.split.test.max()) < 240
    assert corpus.base.sum() == pytest.approx(1)
    assert corpus.names[corpus.n_brief - 1] == "year"


def test_training_again_gives_the_same_atlas(corpus, atlas):
    again = train(corpus, TINY, "cpu")
    for name, value in again.held_out.probabilities.items():
        np.testing.assert_allclose(value, atlas.held_out.probabilities[name], rtol=1e-4, err_msg=name)


def test_what_lies_in_the_cache_is_read_and_not_trained(corpus, atlas, tmp_path, monkeypatch):
    cache = tmp_path / "cache"
    module._keep(atlas, place(corpus, TINY, cache))
    monkeypatch.setattr(module, "train", lambda *args: pytest.fail("trained again"))
    found = trained(corpus, TINY, "cpu", cache)
    np.testing.assert_allclose(found.latents[0], atlas.latents[0], atol=1e-6)
    assert found.sha256 == atlas.sha256
    (place(corpus, TINY, cache) / "text.pt").write_bytes(b"cut short")
    with pytest.raises(ValueError, match=r"is damaged .* delete the folder"):
        trained(corpus, TINY, "cpu", cache)


def test_other_settings_or_foci_are_another_atlas(corpus, tmp_path):
    names = {
        place(corpus, cfg, tmp_path).name for cfg in (TINY, replace(TINY, steps=25), replace(TINY, seed=1))
    }
    fewer = replace(corpus, description=corpus.description + 1)
    assert len(names | {place(fewer, TINY, tmp_path).name}) == 4


def test_comments_make_no_other_atlas():
    one = module._meaning('"""A."""\nx = 1  # why\n')
    assert one == module._meaning('"""B."""\n\nx = 1\n') != module._meaning('"""A."""\nx = 2\n')


def test_a_size_that_is_not_there_falls_back_to_quick(corpus, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert best_available(corpus) is module.SIZES["quick"]
    assert best_available(corpus, "full") is module.SIZES["full"]
    place(corpus, module.SIZES["book"]).mkdir(parents=True)
    assert best_available(corpus) is module.SIZES["book"]
    with pytest.raises(ValueError, match="size='huge' must be one of"):
        best_available(corpus, "huge")


def test_scores_are_those_of_the_model_on_hidden_foci(corpus, atlas):
    task = atlas.held_out.hold_outs["half test"]
    p = atlas.topics.hidden(corpus.corpus, corpus.voxels, task)
    np.testing.assert_allclose(atlas.held_out.probabilities["half test topics"], p, rtol=1e-5)
    mixed = atlas.held_out.mixed("half", ["topics", "components"])
    base = np.log(atlas.held_out.base["half test"])
    assert atlas.held_out.gain("half", ["topics", "components"]) == gain(mixed, base, task.hidden_of)
    weights = atlas.held_out.weights("half", ["topics", "components"])
    assert sum(weights.values()) == pytest.approx(1)
    assert set(weights) == {"global", "topics", "components"}
    with pytest.raises(ValueError, match="'nobody' was not scored"):
        atlas.held_out.gain("half", "nobody")


def test_probabilities_of_another_corpus_are_refused(corpus, atlas, tmp_path):
    atlas.held_out.save(tmp_path / "held.npz")
    other = prepared(
        cleaned(CorpusSimulator(n_studies=100).simulate(3)[0]), text=PLAIN_TEXT, grid=Grid.mni(8)
    )
    with pytest.raises(ValueError, match="of another corpus or split"):
        HeldOut.of(other).restore(tmp_path / "held.npz")


@pytest.fixture(scope="module")
def release(atlas, tmp_path_factory):
    return export(atlas, tmp_path_factory.mktemp("release") / "atlas", n_maps=2)


def test_exported_tables_and_images_hold_the_atlas(corpus, atlas, release):
    import nibabel
    import pandas

    about = json.loads((release / "manifest.json").read_text())
    assert about["checkpoint"] == atlas.sha256 and about["simulated"]
    latents = pandas.read_csv(release / "tables" / "latents.csv")
    np.testing.assert_allclose(latents["mean_0"], atlas.latents[0][:240, 0], rtol=1e-4, atol=1e-5)
    schema = json.loads((release / "tables" / "schema.json").read_text())
    for name, columns in schema.items():
        table = pandas.read_csv(release / "tables" / f"{name}.csv")
        assert list(table) == [column["name"] for column in columns]
    image = nibabel.load(release / "images" / "all_foci.nii.gz")
    np.testing.assert_allclose(image.affine, corpus.grid.affine)
    assert image.header["sform_code"] == 4
    np.testing.assert_allclose(image.get_fdata()[corpus.grid.mask], corpus.base, rtol=1e-5)


def test_parquet_holds_what_csv_holds(release):
    pytest.importorskip("pyarrow", reason="an optional package")
    import pandas

    one, two = (release / "tables" / f"studies.{kind}" for kind in ("csv", "parquet"))
    pandas.testing.assert_frame_equal(pandas.read_csv(one), pandas.read_parquet(two), check_dtype=False)


def test_networks_run_outside_torch(atlas, release):
    onnxruntime = pytest.importorskip("onnxruntime", reason="the extra onnx")
    session = onnxruntime.InferenceSession(release / "networks" / "decoder.onnx")
    z = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    told = np.tile(atlas.vae.blank.detach().numpy(), (5, 1))
    log_p = session.run(None, {"z": z, "condition": told})[0]
    want = decoder_of(atlas.vae)(z, told) + np.log(atlas.corpus.base)
    np.testing.assert_allclose(log_p, want, atol=1e-3)


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not here")
def test_tables_can_be_read_without_python(atlas, release):
    line = subprocess.run(
        ["node", release / "read_tables.mjs", release], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    found = json.loads(line)
    means = atlas.latents[0][:240]
    nearest = 1 + np.linalg.norm(means[1:] - means[0], axis=1).argmin()
    assert found["n_studies"] == 240
    assert found["nearest"] == str(atlas.corpus.corpus.id[nearest])


def test_a_folder_with_something_in_it_is_left_alone(atlas, release):
    with pytest.raises(FileExistsError, match="is not empty"):
        export(atlas, release)


def test_an_untrained_atlas_is_not_exported(corpus, atlas, tmp_path):
    fresh = replace(TINY.vae, condition=corpus.n_brief).build(corpus.grid, np.log(corpus.base))
    with pytest.raises(ValueError, match="never trained"):
        decoder_of(fresh)


def test_the_command_says_where_an_atlas_is(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cli.main(["atlas", "where", "--source", "simulated", "--size", "quick"]) == 0
    assert "(not trained yet)" in capsys.readouterr().out
    assert cli.main(["atlas", "where", "--source", "nowhere"]) == 1
    assert "source='nowhere' must be one of" in capsys.readouterr().err


def test_a_recorded_corpus_that_is_absent_is_an_error(monkeypatch, tmp_path):
    monkeypatch.setenv("NEUROLIB_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError):
        load_corpus("recorded")
    assert load_corpus("auto", n_simulated=60).simulated
