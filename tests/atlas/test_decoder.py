"""The decoder without torch: the same maps as the model, in NumPy, in bytes, and in JavaScript."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from neurolib.atlas.decoder import Decoder, Layer

SCRIPT = Path(__file__).parents[2] / "book" / "_static" / "atlas.js"
RUN = """
const {Decoder} = require(process.argv[1]), fs = require("fs");
const {manifest, z, c} = JSON.parse(fs.readFileSync(process.argv[2]));
const file = fs.readFileSync(process.argv[3]);
const decoder = new Decoder(manifest, file.buffer.slice(file.byteOffset, file.byteOffset + file.length));
const volume = decoder.map(z[0], c[0]);
console.log(JSON.stringify({
  maps: z.map((row, i) => [...decoder.ratio(row, c[i])]), volume: [...volume.values],
  between: [...decoder.map(z[0], c[0], c[1]).values],
}));
"""


@pytest.fixture
def draws():
    draw = np.random.default_rng(1)
    return draw.standard_normal((4, 5)), draw.standard_normal((4, 3))


def test_maps_are_those_of_the_model(random_vae, random_decoder, draws):
    z, c = (torch.tensor(values, dtype=torch.float32) for values in draws)
    with torch.no_grad():
        expected = random_vae.decode(z, c) - random_vae.field.log_base
    maps = random_decoder(*draws)
    assert np.abs(maps).max() > 0.5  # there is something to compare
    assert_allclose(maps, expected, atol=2e-5)


def test_a_map_is_a_density_over_the_base(random_decoder, draws):
    totals = np.exp(random_decoder(*draws) + random_decoder.log_base).sum(1)
    assert_allclose(totals, 1, atol=1e-5)


def test_bytes_err_as_little_as_the_manifest_says_and_two_bytes_less(random_decoder, draws):
    errors = {dtype: random_decoder.error(dtype, draws[1][0]) for dtype in ("int8", "int16")}
    assert 0 < errors["int16"] < 0.02 * errors["int8"]
    for tolerance, dtype in ((errors["int8"] * 1.01, "int8"), (errors["int8"] * 0.99, "int16")):
        _, manifest = random_decoder.pack(tolerance, draws[1][0])
        assert manifest["dtype"] == dtype
        assert manifest["error_nats"] == pytest.approx(errors[dtype], abs=1e-6)
    biggest = np.abs(random_decoder.layers[0].weight).max(1)
    off = np.abs(random_decoder.quantised("int8").layers[0].weight - random_decoder.layers[0].weight)
    assert (off.max(1) <= biggest / 127 / 2 * 1.001).all()


@pytest.mark.parametrize("dtype", ["int8", "int16"])
def test_javascript_computes_what_numpy_does(random_decoder, draws, tmp_path, dtype):
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node")
    z, c = draws
    data, manifest = random_decoder.pack(1e9 if dtype == "int8" else 1e-9, c[0])
    (tmp_path / "decoder.bin").write_bytes(data)
    asked = tmp_path / "asked.json"
    asked.write_text(json.dumps({"manifest": manifest, "z": z.tolist(), "c": c.tolist()}))
    command = [node, "-e", RUN, str(SCRIPT), str(asked), str(tmp_path / "decoder.bin")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    expected = random_decoder.quantised(dtype)(z, c)
    assert_allclose(found["maps"], expected, atol=1e-4)
    off = np.sqrt(np.mean((np.array(found["maps"]) - random_decoder(z, c)) ** 2))
    assert off < 2 * manifest["error_nats"] + 1e-5
    volume = np.reshape(found["volume"], random_decoder.grid.shape, order="F")
    assert_allclose(volume, random_decoder.grid.volume(expected[0]), atol=1e-4)
    other = random_decoder.quantised(dtype)(z[0], c[1])[0]
    between = np.reshape(found["between"], random_decoder.grid.shape, order="F")
    assert_allclose(between, random_decoder.grid.volume(expected[0] - other), atol=2e-4)


def test_what_is_no_trained_decoder_is_refused(random_vae, random_decoder, small_brain):
    state = {k: v.numpy() for k, v in random_vae.state_dict().items() if k.startswith(("decoder.", "out."))}
    base = random_decoder.log_base
    empty = {k: v * 0 if k.startswith("out") else v for k, v in state.items()}
    with pytest.raises(ValueError, match="never trained"):
        Decoder.from_state(empty, small_brain, base, 5)
    with pytest.raises(ValueError, match="do not follow each other"):
        Decoder.from_state(dict(reversed(state.items())), small_brain, base, 5)
    with pytest.raises(ValueError, match="does not sum to one"):
        Decoder.from_state(state, small_brain, np.exp(base), 5)
    with pytest.raises(ValueError, match="another grid"):
        Decoder((Layer(np.ones((7, 5)), np.zeros(7)),), small_brain, base, 5)
    with pytest.raises(ValueError, match="3 conditions"):
        random_decoder(np.zeros((1, 5)))
