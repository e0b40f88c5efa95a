"""The log's registry: whole, decided by claims that pages make, and drawn without loss."""

import json
from pathlib import Path

import pytest

from neurolib.viz.experiments import Experiment, decide, experiment_table, read_experiments, timeline

ROOT = Path(__file__).parents[2]
ONE = Experiment("1", "why <b>?", "a", "", "s/one", "so", supports=("a",), reported=0.5)


def result(holds, profile="quick", variant="", simulated=True):
    check = {"label": "a", "kind": "claim", "holds": holds, "simulated": simulated}
    return {"page": "s/one", "variant": variant, "stamp": {"profile": profile}, "checks": [check]}


def test_the_full_run_decides_before_the_quick_one_and_variants_never():
    assert decide([ONE], [])["1"]["verdict"] == "not run"
    assert decide([ONE], [result(True, variant="m1")])["1"]["verdict"] == "not run"
    assert decide([ONE], [result(True)])["1"]["verdict"] == "replicates"
    found = decide([ONE], [result(True), result(False, "full", simulated=False)])["1"]
    assert found == {"verdict": "does not replicate", "profile": "full", "simulated": False}


def test_the_table_escapes_and_says_simulated():
    table = experiment_table([ONE], decide([ONE], [result(True)]))
    assert "why &lt;b&gt;?" in table and "replicates</a> (SIMULATED)" in table and 'href="one.html"' in table


def test_every_scored_experiment_is_on_the_timeline_once():
    experiments = read_experiments(ROOT / "book" / "experiments.yml")
    fig = timeline(experiments, decide(experiments, []))
    drawn = [x for trace in fig.data for x in trace.x]
    assert sorted(drawn) == sorted(e.id for e in experiments if e.reported is not None)


def test_the_log_has_all_its_experiments_and_pages_decide_each():
    experiments = read_experiments(ROOT / "book" / "experiments.yml")
    numbers = {int(e.id.rstrip("b")) for e in experiments if not e.ours}
    assert numbers == set(range(1, 26))
    for experiment in experiments:
        golden = ROOT / "tests" / "golden" / "results" / f"{experiment.page}.quick.json"
        labels = {check["label"] for check in json.loads(golden.read_text("utf-8"))["checks"]}
        assert labels >= {*experiment.supports, *experiment.contradicts}, experiment.id


def test_a_registry_that_does_not_fit_is_named(tmp_path):
    path = tmp_path / "log.yml"
    entry = "{id: '1', question: q, claimed: c, varies: v, page: p, reading: r, supports: [a]}"
    path.write_text(f"- {entry}\n- {entry}\n")
    with pytest.raises(ValueError, match=r"\['1'\] are there twice"):
        read_experiments(path)
    path.write_text(f"- {entry[:-1]}, colour: red}}\n")
    with pytest.raises(ValueError, match=r"experiment 1: .*colour"):
        read_experiments(path)
    path.write_text(f"- {entry.replace('claimed: c', 'claimed: no')}\n")
    with pytest.raises(ValueError, match="claimed is False; YAML takes a bare no"):
        read_experiments(path)
    with pytest.raises(ValueError, match="no verdict of p decides it"):
        Experiment("2", "q", "c", "v", "p", "r")
