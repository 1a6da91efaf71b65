import json

import pytest

from serving.console import plain, say, say_json, say_table, steps


def test_nothing_that_is_printed_can_steer_a_terminal(capsys):
    say("id \x1b[2J\r\x07")
    say_table(("customer",), [("\x1b]0;title\x07",)])
    printed = capsys.readouterr().out
    assert "\x1b" not in printed and "\x07" not in printed and "\r" not in printed
    assert r"\x1b[2J" in printed


def test_markup_in_data_is_text(capsys):
    say_table(("customer",), [("[red]7[/red]",)])
    assert "[red]7[/red]" in capsys.readouterr().out


def test_long_cells_are_never_cut_in_a_file(capsys):
    say_table(("customer", "because"), [("c" * 90, "r" * 90)])
    printed = capsys.readouterr().out
    assert "c" * 90 in printed and "r" * 90 in printed


def test_json_has_null_for_what_is_not_a_number(capsys):
    say_json({"a": float("nan"), "b": [float("inf"), 1.5], 3: "ñ"})
    assert json.loads(capsys.readouterr().out) == {"a": None, "b": [None, 1.5], "3": "ñ"}


def test_steps_are_told_on_stderr_only(capsys):
    with steps() as step, step("reading the sources") as advance:
        advance(0.5, "half")
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "reading the sources" in printed.err


def test_quiet_steps_say_nothing(capsys):
    with steps(quiet=True) as step, step("reading") as advance:
        advance(1.0)
    assert capsys.readouterr() == ("", "")


def test_a_step_that_fails_lets_the_error_through():
    with pytest.raises(KeyError), steps() as step, step("reading"):
        raise KeyError("x")


def test_plain_keeps_every_letter():
    assert plain("reclamación 🙂 007") == "reclamación 🙂 007"
