"""Ours against the benchmark's own package, on files of its schema."""

import numpy as np
import pytest

from neurolib.data.nlb import TASKS, load_nlb, read_nlb

make_tensors = pytest.importorskip("nlb_tools.make_tensors", reason="nlb_tools is the oracle here")
nwb_interface = pytest.importorskip("nlb_tools.nwb_interface")


def as_blocks(nlb_data):
    """Held-in counts, held-out counts and behaviour as ``(trial, bin, channel)``."""
    n = len(nlb_data.trials)
    arrays = nlb_data.held_in_counts, nlb_data.held_out_counts, nlb_data.trials.behaviour
    return [array.reshape(n, -1, array.shape[1]) for array in arrays]


@pytest.mark.parametrize("task", TASKS)
def test_every_setting_is_the_one_in_nlb_tools(task):
    ours, theirs = TASKS[task], make_tensors.PARAMS[task]
    assert ours.align == theirs["make_params"]["align_field"].removesuffix("_time") + "_s"
    assert tuple(round(edge * 1e3) for edge in ours.window_s) == theirs["make_params"]["align_range"]
    assert round(ours.lag_s * 1e3) == theirs["lag"]
    assert ours.behaviour == theirs["behavior_field"]
    assert list(ours.conditions) == theirs.get("psth_params", {}).get("cond_fields", [])


@pytest.mark.parametrize("bin_ms", [5, 20])
@pytest.mark.parametrize("task", TASKS)
def test_counts_are_those_of_nlb_tools_spike_by_spike(task, bin_ms, nlb_file):
    path, _ = nlb_file(task)
    ours = load_nlb(task, path, bin_ms / 1e3, split="train")
    dataset = nwb_interface.NWBDataset(str(path))
    dataset.resample(bin_ms)
    tensors = make_tensors.make_train_input_tensors(
        dataset, task, "train", save_file=False, include_behavior=True
    )
    held_in, held_out, behaviour = as_blocks(ours)
    np.testing.assert_array_equal(held_in, tensors["train_spikes_heldin"])
    np.testing.assert_array_equal(held_out, tensors["train_spikes_heldout"])
    assert held_in.sum() > 400 and held_out.sum() > 200

    made = dataset.make_trial_data(
        ignored_trials=dataset.trial_info.split != "train", **make_tensors.PARAMS[task]["make_params"]
    )
    np.testing.assert_array_equal(ours.trials.counts[:, ~ours.held_out], made["spikes"].to_numpy())

    # Ours is the mean over the bin, theirs the filtered sample at its start: apart by at most
    # half a bin (less half a millisecond) times the steepest slope.
    apart_s = (bin_ms - 1) / 2e3
    steepest = 100 * 2 * np.pi / 0.9
    assert behaviour.shape == tensors["train_behavior"].shape
    np.testing.assert_allclose(behaviour, tensors["train_behavior"], atol=1.002 * apart_s * steepest)


@pytest.mark.parametrize("bin_ms", [5, 20])
@pytest.mark.parametrize("task", ["mc_maze", "mc_rtt", "area2_bump"])
def test_behaviour_is_the_lagged_signal_in_the_middle_of_the_bin(task, bin_ms, nlb_file):
    path, _ = nlb_file(task)
    ours = load_nlb(task, path, bin_ms / 1e3)
    _, _, behaviour = as_blocks(ours)
    setting = TASKS[task]
    event_ms = np.round(ours.trials.info[setting.align] * 1e3)
    first = np.ceil((event_ms + setting.window_s[0] * 1e3) / bin_ms)
    start_s = (first[:, None] + np.arange(behaviour.shape[1])) * bin_ms / 1e3
    at = start_s + setting.lag_s + (bin_ms - 1) / 2e3
    exact = 100 * np.stack([np.sin(2 * np.pi * at / 1.3), np.cos(2 * np.pi * at / 0.9)], axis=-1)
    np.testing.assert_allclose(behaviour, exact, atol=0.1)  # of 100: the mean flattens the curve


def test_splits_and_conditions_are_named_and_numbered(nlb_file):
    path, made = nlb_file("area2_bump")
    recording = read_nlb("area2_bump", path)
    assert recording.trials["split"].tolist() == ["train", "train", "valid", "none"] * 4
    pairs = {}
    for number, direction, bump in zip(
        recording.trials["condition"], made.trials["cond_dir"], made.trials["ctr_hold_bump"], strict=True
    ):
        assert (number == -1) == np.isnan(direction)
        if number >= 0:
            assert pairs.setdefault(int(number), (direction, bump)) == (direction, bump)
    assert len(set(pairs.values())) == len(pairs) > 4
    np.testing.assert_array_equal(recording.units["held_out"], made.held_out)

    chosen = load_nlb("area2_bump", path, split="valid").trials
    assert chosen.info["split"].tolist() == ["valid"] * 4
    assert "condition" not in read_nlb("mc_rtt", nlb_file("mc_rtt")[0]).trials


def test_a_folder_will_do_if_the_file_is_in_it(nlb_file, tmp_path):
    path, _ = nlb_file("mc_rtt")
    with pytest.raises(FileNotFoundError, match=r"no sub-Indy.*it has \['mc_rtt.nwb'\].*DANDI:000129"):
        load_nlb("mc_rtt", tmp_path)
    (tmp_path / "000129").mkdir()
    path.rename(tmp_path / "000129" / TASKS["mc_rtt"].file)
    assert len(load_nlb("mc_rtt", tmp_path).trials) == 16


def test_wrong_names_get_a_clear_answer(nlb_file):
    path, _ = nlb_file("mc_rtt")
    with pytest.raises(ValueError, match=r"no benchmark set 'mc_mase'; there are .*'mc_maze'"):
        load_nlb("mc_mase", path)
    with pytest.raises(ValueError, match=r"no trials of split \['test'\]; it has \['train', 'valid'\]"):
        load_nlb("mc_rtt", path, split="test")
    with pytest.raises(ValueError, match=r"mc_rtt.nwb: no signal \['hand_vel'\]; it has \['finger_vel'\]"):
        load_nlb("mc_maze", path)


def test_a_trial_whose_behaviour_was_not_measured_is_not_made_up(nlb_file, tmp_path):
    path, made = nlb_file("mc_rtt")
    hand = made.signals["finger_vel"]
    gap = made.trials["start_time"][3] + np.array([0.3, 0.31])
    hand["data"][(hand["timestamps"] >= gap[0]) & (hand["timestamps"] < gap[1])] = np.nan
    path = made.write(tmp_path / "gap.nwb")
    with pytest.raises(ValueError, match="gaps in 1 of 16 trials, the first is trial 3"):
        load_nlb("mc_rtt", path)
    assert len(load_nlb("mc_rtt", path, gaps="drop").trials) == 15


def test_several_signals_come_side_by_side_on_one_grid(nlb_file):
    path, _ = nlb_file("area2_bump")
    alone = load_nlb("area2_bump", path, 0.02).trials
    several = load_nlb("area2_bump", path, 0.02, behaviour=("hand_pos", "hand_vel", "force")).trials
    assert several.outputs == ("hand_pos x", "hand_pos y", "hand_vel x", "hand_vel y", "force fx")
    assert several.output_unit == "mm, mm/s, N"
    np.testing.assert_array_equal(several.behaviour[:, 2:4], alone.behaviour)
    np.testing.assert_array_equal(several.counts, alone.counts)
    np.testing.assert_allclose(several.behaviour[:, 4], several.behaviour[:, 0] / 25, atol=1e-9)
    assert several.info.keys() == alone.info.keys()
    with pytest.raises(ValueError, match=r"no signal \['hand_vell'\]; it has .*'hand_pos'"):
        load_nlb("area2_bump", path, behaviour=("hand_pos", "hand_vell"))


def test_a_gap_in_one_signal_drops_the_trial_from_all(nlb_file, tmp_path):
    path, made = nlb_file("area2_bump")
    at = round(made.trials["move_onset_time"][4] * 1e3)
    made.signals["hand_pos"]["data"][at : at + 5] = np.nan
    path = made.write(tmp_path / "gap.nwb")
    with pytest.raises(ValueError, match="'hand_pos' has gaps in 1 of 12 trials, the first is trial 3"):
        load_nlb("area2_bump", path, behaviour=("hand_vel", "hand_pos"))
    both = load_nlb("area2_bump", path, behaviour=("hand_vel", "hand_pos"), gaps="drop").trials
    alone = load_nlb("area2_bump", path).trials
    assert len(alone) == 12
    rest = alone.select(np.arange(12) != 3)
    np.testing.assert_array_equal(both.behaviour[:, :2], rest.behaviour)
    np.testing.assert_array_equal(both.info["move_onset_s"], rest.info["move_onset_s"])


def test_lag_and_window_may_differ_from_the_benchmark(nlb_file):
    path, _ = nlb_file("area2_bump")
    window, longer = (load_nlb("area2_bump", path, 0.02, forward_s=extra).trials for extra in (0, 0.2))
    assert (window.lengths == 30).all() and (longer.lengths == 40).all()
    np.testing.assert_array_equal(longer.counts[longer.bin_in_trial < 30], window.counts)
    # the benchmark's lag is one bin of 20 ms backwards
    late = load_nlb("area2_bump", path, 0.02, lag_s=0.0).trials
    np.testing.assert_allclose(late.padded().behaviour[:, :-1], window.padded().behaviour[:, 1:], rtol=1e-9)


def test_forward_spikes_are_those_of_nlb_tools(nlb_file):
    path, _ = nlb_file("area2_bump")
    ours = load_nlb("area2_bump", path, 0.005, split="valid", forward_s=0.2)
    dataset = nwb_interface.NWBDataset(str(path))
    dataset.resample(5)
    target = make_tensors.make_eval_target_tensors(
        dataset, "area2_bump", "train", "val", save_file=False, include_psth=False
    )["area2_bump"]
    held_in, held_out, _ = as_blocks(ours)
    np.testing.assert_array_equal(held_out[:, :120], target["eval_spikes_heldout"])
    np.testing.assert_array_equal(held_in[:, 120:], target["eval_spikes_heldin_forward"])
    np.testing.assert_array_equal(held_out[:, 120:], target["eval_spikes_heldout_forward"])
