"""What pages say about themselves: values, verdicts, and the results file."""

import json

import numpy as np
import pytest

from neurolib import report

RECORDED = {"id": "mc_rtt", "kind": "recorded", "sha256": "ab" * 32}
SIMULATED = {"id": "mc_rtt", "kind": "simulated", "sha256": ""}


@pytest.fixture
def page(tmp_path, monkeypatch):
    """A fresh page in a checkout with one published number."""
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "book").mkdir()
    (tmp_path / "_toc.yml").write_text("")
    (tmp_path / "book" / "published.yml").write_text("smith-r2: {value: 0.62, citation: smith2020}\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NEUROLIB_HEADLESS", "1")
    monkeypatch.delenv("NEUROLIB_RUN", raising=False)
    monkeypatch.setattr(report, "_page", report._Page())
    glued = {}
    monkeypatch.setattr(report, "_glue", glued.__setitem__)
    report._page.glued = glued
    return report._page


@pytest.mark.parametrize(
    ("ours", "verdict"),
    [
        (0.6443, "within 0.03 of the {} 0.62"),
        (0.6501, "higher than the {} 0.62 by more than 0.03"),
        (0.5899, "lower than the {} 0.62 by more than 0.03"),
        (-7.7777, "lower than the {} 0.62 by more than 0.03"),
    ],
)
@pytest.mark.parametrize("kind", ["published", "expected"])
def test_a_verdict_is_words_without_a_measured_digit(page, capsys, ours, verdict, kind):
    reference = {"published": "smith-r2"} if kind == "published" else {"expected": 0.62}
    report.check("R²", np.float64(ours), 0.03, **reference)
    assert capsys.readouterr().out == f"R²: {verdict.format(kind)}\n"
    (row,) = page.checks
    assert row["ours"] == ours and row["reference"] == 0.62 and row["kind"] == kind
    assert row.get("citation") == ("smith2020" if kind == "published" else None)


def test_simulated_data_are_not_compared_with_a_published_number(page, capsys):
    page.data.append(SIMULATED)
    report.check("R²", 0.62, 0.03, published="smith-r2")
    assert capsys.readouterr().out == "R²: not comparable with the published 0.62, the data are SIMULATED\n"
    assert page.checks[0]["simulated"] is True


@pytest.mark.parametrize(("entry", "wanted"), [(RECORDED, 0.7), (SIMULATED, 0.4)])
def test_an_expectation_may_depend_on_the_kind_of_data(page, capsys, entry, wanted):
    page.data.append(entry)
    report.check("R²", wanted, 0.01, expected={"recorded": 0.7, "simulated": 0.4})
    assert capsys.readouterr().out == f"R²: within 0.01 of the expected {wanted}\n"


def test_an_expectation_that_is_missing_is_named(page):
    with pytest.raises(ValueError, match="R²: nothing is expected on recorded data, only on simulated"):
        report.check("R²", 0.5, 0.1, expected={"simulated": 0.4})


@pytest.mark.parametrize("references", [{}, {"published": "smith-r2", "expected": 0.5}])
def test_a_check_has_one_reference(page, references):
    with pytest.raises(ValueError, match="either published= or expected="):
        report.check("R²", 0.5, 0.1, **references)


def test_a_published_number_that_is_not_listed_is_named_with_those_that_are(page, capsys):
    with pytest.raises(KeyError, match=r"no 'smiht-r2' in book/published.yml; it has \['smith-r2'\]"):
        report.check("R²", 0.5, 0.1, published="smiht-r2")
    assert not page.checks and not capsys.readouterr().out


@pytest.mark.parametrize("value", [float("nan"), np.float32("inf"), np.nan])
def test_what_was_not_measured_is_not_reported(page, value):
    with pytest.raises(ValueError, match="does not report what was not measured"):
        report.put("r2", value)
    with pytest.raises(ValueError, match="does not report what was not measured"):
        report.check("R²", value, 0.1, expected=0.5)
    assert not page.values and not page.checks and not page.glued


def test_a_cell_can_be_run_again_with_another_value_in_jupyterlab(page):
    for value in (0.5, 0.6):
        report.put("r2", value)
        report.claim("better", value > 0.55)
    assert page.glued == {"r2": 0.6}
    assert [check["verdict"] for check in page.checks] == ["holds"]


def test_a_published_bound_is_missed_from_below_only(page, tmp_path, capsys):
    entry = "smith-r2: {value: 0.62, bound: lower, citation: smith2020}\n"
    (tmp_path / "book" / "published.yml").write_text(entry)
    for value in (0.9, 0.6, 0.5):
        report.check(f"at {value}", value, 0.03, published="smith-r2")
    assert capsys.readouterr().out.splitlines() == [
        "at 0.9: within the published bound of at least 0.62",
        "at 0.6: within the published bound of at least 0.62",
        "at 0.5: lower than the published bound of at least 0.62 by more than 0.03",
    ]


def test_a_number_of_another_recording_is_not_compared(page, tmp_path, capsys):
    page.data.append({"id": "m1_data", "kind": "recorded", "sha256": ""})
    for recording in ("m1_data", "maze"):
        entry = f"smith-r2: {{value: 0.62, recording: {recording}, citation: smith2020}}\n"
        (tmp_path / "book" / "published.yml").write_text(entry)
        report.check(recording, 0.6, 0.03, published="smith-r2")
    assert capsys.readouterr().out.splitlines() == [
        "m1_data: within 0.03 of the published 0.62",
        "maze: not comparable with the published 0.62, which is of maze",
    ]


def test_one_name_has_one_value_in_a_run(page):
    page.run = {"page": "demo"}
    report.put("r2", 0.5)
    report.put("r2", 0.5)  # a cell that is run twice
    with pytest.raises(ValueError, match=r"r2 was put before as 0\.5, now as 0\.6"):
        report.put("r2", 0.6)
    assert page.glued == {"r2": 0.5}


@pytest.mark.parametrize(
    ("given", "kind"),
    [(np.float32(0.5), float), (np.float64(0.5), float), (np.int64(3), int), ("0.1 to 0.2", str)],
)
def test_numpy_scalars_become_plain_numbers(page, given, kind):
    report.put("x", given)
    assert type(page.values["x"]) is kind and type(page.glued["x"]) is kind
    json.dumps(page.values)


def test_a_torch_scalar_becomes_a_plain_number(page):
    import torch

    report.put("loss", torch.tensor(0.25))
    assert page.values == {"loss": 0.25}


def test_a_claim_is_one_stable_line(page, capsys):
    report.claim("M1 leads", np.bool_(True))
    report.claim("S1 leads", False)
    assert capsys.readouterr().out == "M1 leads: holds\nS1 leads: does not hold\n"
    assert [row["holds"] for row in page.checks] == [True, False]
    json.dumps(page.checks)


def test_the_results_file_holds_values_checks_and_stamp(page, tmp_path, capsys):
    place = tmp_path / "out" / "result.json"
    page.run = {
        "page": "demo/a",
        "profile": "quick",
        "variant": "slow",
        "params": {"steps": 3, "name": "two words"},
        "key": {"source": "00"},
        "result": str(place),
        "root": str(tmp_path),
    }
    page.data.append(SIMULATED)
    report.put("r2", 0.5)
    report.claim("it holds", True)
    report.card("R² is <0.5>", needs="a & b")
    report.stamp(device="one abacus")
    result = json.loads(place.read_text())
    assert {key: result[key] for key in ("page", "variant", "profile", "values")} == {
        "page": "demo/a",
        "variant": "slow",
        "profile": "quick",
        "values": {"r2": 0.5},
    }
    assert [row["verdict"] for row in result["checks"]] == ["holds"]
    stamp = result["stamp"]
    assert (
        stamp["device"] == "one abacus" and stamp["data"] == [SIMULATED] and stamp["key"] == {"source": "00"}
    )
    assert stamp["command"] == (
        "python run.py run demo/a --profile quick --variant slow -p steps=3 -p 'name=two words'"
    )
    assert {"python", "torch", "numpy", "scipy", "scikit-learn", "neurolib-book"} == set(stamp["versions"])
    assert stamp["seconds"] >= 0 and set(stamp) >= {"commit", "dirty", "peak_memory_mb", "date"}
    assert str(tmp_path) not in place.read_text()
    card = page.glued["card"].data
    assert "R² is &lt;0.5&gt;" in card and "a &amp; b" in card and "SIMULATED data" in card
    assert report.results("out") == [result]


@pytest.mark.parametrize(("threads", "words"), [(1, "1 thread"), (2, "2 threads")])
def test_threads_are_counted_in_words_that_agree(page, monkeypatch, threads, words):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    assert report._device().endswith(f", {words}")


def test_outside_the_runner_nothing_is_written(page, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    report.put("r2", 0.5)
    report.card("0.5")
    report.stamp()
    assert sorted(tmp_path.rglob("*")) == before


def test_data_are_announced_with_their_kind(page, capsys, monkeypatch, tmp_path, hand):
    from dataclasses import replace

    monkeypatch.setenv("NEUROLIB_DATA", str(tmp_path))
    report.use(replace(hand, name="mc_rtt", simulated=True))
    report.use(replace(hand, name="mc_rtt", simulated=True))
    assert page.data == [SIMULATED] and page.simulated


def test_data_that_nobody_recorded_are_announced_as_such(page, capsys, hand):
    from dataclasses import replace

    report.use(replace(hand, name="a made-up brain", simulated=True))
    assert page.simulated and "a made-up brain" in report._data_line(page.data[0])
    with pytest.raises(ValueError, match="no dataset 'a made-up brain'"):
        report.use(replace(hand, name="a made-up brain", simulated=False))


def test_many_stand_ins_are_announced_in_one_line(page, monkeypatch, tmp_path, hand):
    from dataclasses import replace

    monkeypatch.setenv("NEUROLIB_DATA", str(tmp_path))
    ids = ("mc_rtt", "mc_maze", "myo_emg")
    report.use(*(replace(hand, name=id, simulated=True) for id in ids))
    assert len(page.data) == 3
    lines = report._data_lines(page.data)
    assert lines.count("<p") == 1 and "MC_RTT" in lines and "MC_Maze" in lines
    assert report._data_lines(page.data[:2]).count("<p") == 2
