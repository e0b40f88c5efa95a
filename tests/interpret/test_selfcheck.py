"""The known answers as one command; each part's own answers are asked in the tests of that part."""

import math

import pytest

from neurolib.cli import main
from neurolib.interpret.selfcheck import Section, answer, known_answers, selfcheck, table


def test_the_substrate_gives_its_known_answers():
    assert all(one.ok for one in known_answers()), table([Section("sites", known_answers(), 0)])


def test_what_is_wrong_is_said_and_the_command_fails(capsys, monkeypatch):
    assert main(["selfcheck", "interpret", "sites"]) == 0
    assert "5 of 5 known answers found" in capsys.readouterr().out
    wrong = [Section("sites", [answer("hooks left behind", 2, 0)], 0.0)]
    monkeypatch.setattr("neurolib.interpret.selfcheck.selfcheck", lambda parts: wrong)
    assert main(["selfcheck", "interpret"]) == 1
    out = capsys.readouterr().out
    assert "WRONG hooks left behind: 2 (0)" in out and "0 of 1" in out


def test_bounds_and_nan():
    assert answer("a", 2, 1, way="least").ok and not answer("a", 0, 1, way="least").ok
    assert answer("a", 0.9, 1, way="most").ok and not answer("a", 1.2, 1, 0.1, "most").ok
    assert not answer("a", math.nan, 0, 1e9).ok
    with pytest.raises(ValueError, match="way='near'"):
        answer("a", 0, 0, way="near")


def test_unknown_parts_are_named(capsys):
    with pytest.raises(ValueError, match="no part 'dreams' to check"):
        selfcheck(["dreams"])
    assert main(["selfcheck", "interpret", "dreams"]) == 1
    assert "dreams" in capsys.readouterr().err
