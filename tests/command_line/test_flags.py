import dataclasses
import json

import pytest

from experiments.command_line.flags import parse
from metabone.commands.command import Command, Preset
from metabone.errors import InputError
from metabone.workflows.settings import setting


@dataclasses.dataclass(frozen=True)
class Settings:
    source: str = setting("", "Where images come from.")
    steps: int = setting(10, "Outer steps.")
    rate: float = setting(0.5, "Rate of the inner loop.")
    pooled: bool = setting(False, "All regions together.")
    shots: tuple[int, ...] = setting((5, 10), "Support films a class.")
    cuts: tuple[float, ...] = setting((84.0,), "Months.")
    names: tuple[str, ...] = setting((), "What to call them.")


PRESETS = {
    "small": Preset(dict(steps=3, shots=(1,)), "a second", "nothing"),
    "large": Preset(dict(rate=0.25, pooled=True), "two", ""),
}
COMMAND = Command("toy", "Toy runs.", "Toy runs.", Settings, PRESETS, print, runs=True)
PLAIN = Command("plain", "", "", Settings, {}, print, positional="names")
SMALL = Settings(steps=3, shots=(1,))
LARGE = Settings(rate=0.25, pooled=True)


@pytest.mark.parametrize(
    ("arguments", "expected", "given"),
    [
        ([], SMALL, ()),
        (["--preset=large"], LARGE, ()),
        # A flag holds over the preset even where it says what the default says.
        (
            ["--steps=10", "--preset=small", "--source=a b"],
            dataclasses.replace(SMALL, steps=10, source="a b"),
            ("source", "steps"),
        ),
        (
            ["--preset=large", "--nopooled", "--rate=1e-3"],
            dataclasses.replace(LARGE, pooled=False, rate=1e-3),
            ("rate", "pooled"),
        ),
        (
            ["--shots=20,5", "--cuts", "84,114.5", "--pooled=true"],
            dataclasses.replace(SMALL, shots=(20, 5), cuts=(84.0, 114.5), pooled=True),
            ("pooled", "shots", "cuts"),
        ),
        (
            ["--source=a", "--source=b", "--shots=", '--names=x,"y,z"'],
            dataclasses.replace(SMALL, source="b", shots=(), names=("x", "y,z")),
            ("source", "shots", "names"),
        ),
    ],
)
def test_flags_hold_over_the_preset_and_the_preset_over_the_defaults(arguments, expected, given):
    call = parse(COMMAND, arguments).call
    # 84 and 84.0 are equal, but settings are hashed as text.
    assert repr(call.config) == repr(expected)
    assert call.given == given
    assert call.command is COMMAND
    assert call.preset == ("large" if "--preset=large" in arguments else "small")


def test_places_of_runs_and_the_grid_are_no_settings():
    flags = ["--runs_dir=a", "--run=b", "--data_dir=c", "--seeds=3", "--sweep=rate=1,2;steps=3"]
    call, runs, log_dir = parse(COMMAND, [*flags, "--sweep=source=x", "--log_dir=logs"])
    assert (call.runs_dir, call.run, call.data_dir) == ("a", "b", "c")
    assert (call.config, call.given) == (SMALL, ())
    assert (runs.seeds, runs.sweep) == (3, "rate=1,2;steps=3;source=x")
    assert log_dir == "logs"
    call, runs, log_dir = parse(COMMAND, [])
    assert (call.runs_dir, call.run, call.data_dir, log_dir) == ("runs", "", None, "")
    assert (runs.seeds, runs.sweep) == (0, "")


def test_a_command_without_runs_or_presets_takes_no_flags_of_them():
    call = parse(PLAIN, ["first", "--steps=4", "second, third"]).call
    assert call.config == Settings(steps=4, names=("first", "second, third"))
    assert (call.preset, call.runs_dir, call.data_dir) == ("", "", None)
    for flag in ("--runs_dir=x", "--preset=small", "--sweep=rate=1", "--seeds=2"):
        with pytest.raises(InputError, match=f"unknown flag {flag.partition('=')[0]}"):
            parse(PLAIN, [flag])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--stepps=3"], "unknown flag --stepps (did you mean --steps?); --help lists them all"),
        (["--nosteps"], "unknown flag --nosteps (did you mean --steps?); --help lists them all"),
        (["--zzz"], "unknown flag --zzz; --help lists them all"),
        (["--steps=many"], "--steps=many: expected a whole number"),
        (["--steps=1.5"], "--steps=1.5: expected a whole number"),
        (["--steps"], "Missing value for flag --steps; --help lists them all"),
        (["--rate=nan"], "--rate=nan: expected a number"),
        (["--rate=inf"], "--rate=inf: expected a number"),
        (["--pooled=maybe"], "--pooled=maybe: expected true or false"),
        (["--nopooled=true"], "--nopooled=true does not take an argument; --help lists them all"),
        (["--preset=larg"], "--preset=larg: expected small, large (did you mean large?)"),
        (["--preset="], "--preset=: expected small, large"),
        (["--shots=5,many"], "--shots=5,many: expected whole numbers, parted by commas"),
        (["--cuts=84;114"], "--cuts=84;114: expected numbers, parted by commas"),
        (["steps=3"], "unexpected argument 'steps=3'; settings are written --name=value"),
    ],
)
def test_a_wrong_flag_or_value_is_named_with_what_was_expected(arguments, message):
    with pytest.raises(InputError) as caught:
        parse(COMMAND, arguments)
    assert str(caught.value) == message


def test_two_command_lines_of_one_process_share_nothing():
    assert parse(COMMAND, ["--steps=4"]).call.config.steps == 4
    assert parse(COMMAND, []).call.config.steps == 3


def test_a_command_is_called_with_its_settings(toy):
    done = toy("--preset=large", "--steps=7", "--data_dir=there")
    assert (done.returncode, done.stderr) == (0, "")
    said = json.loads(done.stdout)
    assert (said["steps"], said["rate"], said["given"]) == (7, 0.25, ["steps"])
    assert (said["preset"], said["runs_dir"], said["data_dir"]) == ("large", "runs", "there")
