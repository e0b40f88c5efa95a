// The density of a study in the middle of the latent space. Needs `npm install onnxruntime-web`.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as ort from "onnxruntime-web";

const folder = process.argv[2] ?? ".";
const viewer = JSON.parse(readFileSync(join(folder, "viewer", "manifest.json"), "utf8"));
const session = await ort.InferenceSession.create(join(folder, "networks", "decoder.onnx"));
const zeros = (n) => new ort.Tensor("float32", new Float32Array(n), [1, n]);
const found = await session.run({ z: zeros(viewer.n_latent), condition: zeros(viewer.n_condition) });
const density = found.log_density.data;

let peak = 0;
let total = 0;
density.forEach((value, voxel) => {
  if (value > density[peak]) peak = voxel;
  total += Math.exp(value);
});
console.log(JSON.stringify({ n_voxels: density.length, peak, total }));
