// Which study is most like the first one? Reads tables/latents.csv and compares posterior means.
import { readFileSync } from "node:fs";
import { join } from "node:path";

const folder = process.argv[2] ?? ".";
const manifest = JSON.parse(readFileSync(join(folder, "manifest.json"), "utf8"));
const [head, ...lines] = readFileSync(join(folder, "tables", "latents.csv"), "utf8").trim().split("\n");
const columns = head.split(",");
const means = columns.flatMap((name, k) => (name.startsWith("mean_") ? [k] : []));
const studies = lines.map((line) => line.split(","));

const distance = (a, b) => Math.hypot(...means.map((k) => a[k] - b[k]));
const [first, ...others] = studies;
const nearest = others.reduce((best, row) => (distance(first, row) < distance(first, best) ? row : best));

console.log(JSON.stringify({
  checkpoint: manifest.checkpoint,
  n_studies: studies.length,
  study: first[0],
  nearest: nearest[0],
}));
