"""Claims ``atlas.load`` and ``atlas.load_first``: Neurosynth into memory in MNI space, against NiMARE.

The first time its four files are read; after that what was read is kept under the hash of their bytes,
which is taken again at every call.

NiMARE's ``convert_neurosynth_to_dataset`` reads the same local files, topics included, and moves Talairach
coordinates as ours does; the coordinates of both are compared. Processor time, medians of calls in turn.
Where the files are not, files of the same layout with as many studies and foci are written first, and the
row says so.
"""

import gzip
import json
import statistics
import sys
import tempfile
import time
import warnings
from itertools import pairwise
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from threadpoolctl import threadpool_limits

from neurolib.data import catalog
from neurolib.data.neurosynth import NEUROSYNTH, TOPIC_NAMES, TOPICS, load_neurosynth

N_STUDIES, N_FOCI, N_TOPICS, REPEATS, TARGET = 14_371, 507_891, 50, 3, 50.0


def write(folder: Path) -> None:
    """Files of the published layout and size, with simulated foci."""
    draw = np.random.default_rng(0)
    study = np.r_[np.arange(N_STUDIES), draw.integers(N_STUDIES, size=N_FOCI - N_STUDIES)]
    xyz = np.rint(draw.normal([0, -20, 15], [30, 35, 25], (N_FOCI, 3))).astype(int)
    foci = ["id\ttable_id\ttable_num\tpeak_id\tx\ty\tz"]
    foci += [
        f"{s}\t{s}\t1.\t{i}\t{x}\t{y}\t{z}" for i, (s, (x, y, z)) in enumerate(zip(study, xyz, strict=True))
    ]
    space = draw.choice(["MNI", "TAL", "UNKNOWN"], N_STUDIES, p=[0.71, 0.16, 0.13])
    studies = ["id\tdoi\tspace\ttitle\tauthors\tyear\tjournal"]
    studies += [
        f"{i}\t10/{i}\t{space[i]}\tA study of the brain\tA. Nonymous\t2010\tBrain" for i in range(N_STUDIES)
    ]
    for name, lines in (("coordinates", foci), ("metadata", studies)):
        with gzip.open(folder / f"{NEUROSYNTH}{name}.tsv.gz", "wt") as file:
            file.write("\n".join(lines) + "\n")
    weights = draw.dirichlet(np.full(N_TOPICS, 0.1), N_STUDIES)
    sp.save_npz(folder / f"{NEUROSYNTH}{TOPICS}", sp.csr_matrix(weights))
    (folder / f"{NEUROSYNTH}{TOPIC_NAMES}").write_text("\n".join(f"{i}_a_b_c" for i in range(N_TOPICS)))


@threadpool_limits.wrap(limits=1)
def main() -> list[dict]:
    """Load with both, compare and time."""
    warnings.simplefilter("ignore")
    from nimare import __version__
    from nimare.io import convert_neurosynth_to_dataset

    with tempfile.TemporaryDirectory() as made:
        recorded = catalog.is_present("neurosynth")
        folder = catalog.folder("neurosynth") if recorded else Path(made)
        if not recorded:
            write(folder)
        files = {"features": str(folder / f"{NEUROSYNTH}{TOPICS}")}
        files["vocabulary"] = str(folder / f"{NEUROSYNTH}{TOPIC_NAMES}")
        tables = [str(folder / f"{NEUROSYNTH}{name}.tsv.gz") for name in ("coordinates", "metadata")]
        seconds: list[list[float]] = [[], [], []]
        for repeat in range(REPEATS + 1):  # the first of each warms up
            times = [time.process_time()]
            ours = load_neurosynth(folder, clean=False).standardise()
            times.append(time.process_time())
            kept = load_neurosynth(folder, clean=False, cache=Path(made) / "kept").standardise()
            times.append(time.process_time())
            peer = convert_neurosynth_to_dataset(*tables, annotations_files=files)
            times.append(time.process_time())
            if repeat:
                for found, (start, stop) in zip(seconds, pairwise(times), strict=True):
                    found.append(stop - start)
        if not np.array_equal(kept.xyz_mm, ours.xyz_mm):
            raise AssertionError("what was kept is not what was read")
    theirs = peer.coordinates[["x", "y", "z"]].to_numpy(float)
    if not np.allclose(np.sort(theirs, axis=0), np.sort(ours.xyz_mm, axis=0), atol=1e-6):
        raise AssertionError("the coordinates differ; a faster wrong answer is no claim")
    first_s, again_s, peer_s = map(statistics.median, seconds)
    common = {"peer": f"NiMARE {__version__}", "data": "Neurosynth" if recorded else "simulated files"}
    common |= {"device": "cpu", "threads": 1}
    return [
        {"claim": claim, "ours_s": ours_s, "peer_s": peer_s, "ratio": peer_s / ours_s, "target": TARGET}
        | common
        for claim, ours_s in (("atlas.load", again_s), ("atlas.load_first", first_s))
    ]


if __name__ == "__main__":
    for result in main():
        print(
            f"{result['claim']}: {result['ratio']:.0f}x as fast as {result['peer']}: {result['ours_s']:.3f} s, "
            f"peer {result['peer_s']:.1f} s, {result['data']}",
            file=sys.stderr,
        )
        print(json.dumps(result))
