"""Claims ``atlas.*_nats``: held-out coordinates, nats per focus over the smoothed density of all foci.

Reads the atlas that ``neurolib atlas train`` keeps, and trains it (about ten minutes on two cores) if
there is none. On recorded studies if they are here; simulated ones are too few to compare with targets,
and the rows say so.
"""

import json
import sys

from neurolib.atlas import NETWORKS
from neurolib.atlas.corpus import load_corpus
from neurolib.atlas.trained import SIZES, trained


def main() -> list[dict]:
    """One row per claim, with the 95 % interval over test studies."""
    corpus = load_corpus()
    atlas = trained(
        corpus, SIZES["quick" if corpus.simulated else "book"], say=lambda line: print(line, file=sys.stderr)
    )
    held_out = atlas.held_out
    rows = []
    for claim, task, gated, alone, target in (
        ("atlas.table_holdout_nats", "table", True, None, 0.42),
        ("atlas.half_single_nats", "half", False, "pool", 0.55),
        ("atlas.half_stack_nats", "half", True, None, 0.75),
        ("atlas.text_nats", "text", False, "pool", 0.17),
    ):
        models = (alone,) if alone else tuple(held_out.models(task))
        classical = tuple(name for name in held_out.models(task) if name not in NETWORKS)
        found = held_out.gain(task, models, gated)
        bar = held_out.gain(task, classical, gated)
        rows.append(
            {
                "claim": claim,
                "value": found.micro,
                "low": found.low,
                "high": found.high,
                "without_networks": bar.micro,
                "target": target,
                "data": "simulated" if corpus.simulated else "Neurosynth 7",
                "device": "cpu",
                "threads": 1,
            }
        )
    return rows


if __name__ == "__main__":
    for row in main():
        print(
            f"{row['claim']}: {row['value']:.3f} [{row['low']:.3f}, {row['high']:.3f}] nats per focus, "
            f"without networks {row['without_networks']:.3f}, target {row['target']}, {row['data']}",
            file=sys.stderr,
        )
        print(json.dumps(row))
