"""Viewer files: images that any reader of NIfTI opens, and what says what they are."""

import gzip
import json
import shutil
import subprocess
from pathlib import Path

import nibabel
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from neurolib.atlas.viewer import STEPS, codes_of, export, nifti, template_nifti

SCRIPT = Path(__file__).parents[2] / "book" / "_static" / "atlas.js"
CONDITIONS = {"early": np.zeros(3), "late": np.ones(3)}
LABELS = ["a", "b", "c", "d", "e"]
ACTIVITY = [0.1, 0.5, 0.0, 0.9, 0.2]
READ = """
const {Stack} = require(process.argv[1]), file = require("fs").readFileSync(process.argv[2]);
const stack = new Stack(file.buffer.slice(file.byteOffset, file.byteOffset + file.length));
const volume = stack.volume(4), places = JSON.parse(process.argv[3]);
console.log(JSON.stringify({frames: stack.frames, values: [...volume.values], at: places.map((xyz) => volume.at(xyz))}));
"""


@pytest.fixture(scope="module")
def folder(random_decoder, tmp_path_factory):
    where = tmp_path_factory.mktemp("viewer")
    return export(where, random_decoder, LABELS, ACTIVITY, "c0ffee" * 10, n_maps=2, conditions=CONDITIONS)


def test_an_image_has_a_frame_per_step_and_keeps_its_values(folder, random_decoder):
    image = nibabel.load(folder / "dim03.nii.gz")
    grid = random_decoder.grid
    assert image.shape == (*grid.shape, 13) and image.get_data_dtype() == np.uint8
    assert_array_equal(image.affine, grid.affine)
    assert nibabel.aff2axcodes(image.affine) == ("R", "A", "S")
    assert image.header["sform_code"] == image.header["qform_code"] == 4
    assert b"c0ffee" in image.header["descrip"].item()
    values, slope = image.get_fdata(), image.dataobj.slope
    z = np.zeros((13, 5))
    z[:, 3] = STEPS
    maps = random_decoder(z, CONDITIONS["early"])
    assert_allclose(values[grid.mask].T, maps, atol=0.501 * slope)
    assert slope <= 1.001 * np.abs(maps).max() / 127
    assert STEPS[6] == 0
    centre = random_decoder(np.zeros((1, 5)), CONDITIONS["early"])[0]
    assert_allclose(values[..., 6][grid.mask], centre, atol=0.501 * slope)
    assert not values[~grid.mask].any()  # zero is exact


def test_the_most_active_dimensions_come_first_and_have_images(folder):
    described = json.loads((folder / "dims.json").read_text())
    assert [entry["number"] for entry in described["dimensions"]] == [3, 1, 4, 0, 2]
    assert [entry.get("file") for entry in described["dimensions"]] == [
        "dim03.nii.gz",
        "dim01.nii.gz",
        None,
        None,
        None,
    ]
    assert [entry["label"] for entry in described["dimensions"]] == ["d", "b", "e", "a", "c"]
    assert described["conditions"][1] == {"label": "late", "c": [1.0, 1.0, 1.0]}
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["checkpoint"] == described["checkpoint"] == "c0ffee" * 10


@pytest.mark.parametrize("low", [-2.0, 0.5])
def test_codes_are_within_half_a_step_and_zero_is_exact(low):
    values = np.append(np.random.default_rng(0).uniform(low, 3.0, 500), 0.0)
    codes, slope, intercept = codes_of(values)
    assert_allclose(codes * slope + intercept, values, atol=0.501 * slope)
    assert codes[-1] * slope + intercept == 0
    assert slope == pytest.approx(np.abs(values).max() / (127 if low < 0 else 255))


def test_the_browser_reads_the_same_values_at_the_same_places(small_brain, tmp_path):
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node")
    maps = np.random.default_rng(0).normal(size=(5, small_brain.n_voxels))
    path = tmp_path / "maps.nii"
    path.write_bytes(gzip.decompress(nifti(maps, small_brain)))
    numbers = [0, 17, small_brain.n_voxels - 1]
    places = (small_brain.centres_mm[numbers] + [1.4, -1.4, 0.5]).tolist()
    command = [node, "-e", READ, str(SCRIPT), str(path), json.dumps([*places, [999, 0, 0]])]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found, image = json.loads(done.stdout), nibabel.load(path)
    assert found["frames"] == 5
    values = image.get_fdata()[..., 4]
    assert_allclose(found["values"], values.ravel(order="F"), atol=1e-6)
    at = values[tuple(small_brain.voxels[numbers].T)]
    assert_allclose(found["at"], [*at, 0], atol=1e-6)


def test_the_template_is_the_brain(tmp_path):
    path = tmp_path / "template.nii.gz"
    path.write_bytes(template_nifti())
    image = nibabel.load(path)
    assert path.stat().st_size < 200_000 and image.shape == (91, 109, 91)
    values = image.get_fdata()
    inside = np.rint(np.linalg.inv(image.affine) @ [0, -20, 10, 1]).astype(int)[:3]
    assert 0.3 < values[tuple(inside)] <= 1 and values[0, 0, 0] == 0


def test_what_does_not_fit_is_refused(random_decoder, small_brain, tmp_path):
    with pytest.raises(ValueError, match="4 labels"):
        export(tmp_path, random_decoder, LABELS[:4], ACTIVITY, "", conditions=CONDITIONS)
    with pytest.raises(ValueError, match="decoder with 3; they must fit"):
        export(tmp_path, random_decoder, LABELS, ACTIVITY, "")
    with pytest.raises(ValueError, match="not finite"):
        nifti(np.full((1, small_brain.n_voxels), -np.inf), small_brain)
