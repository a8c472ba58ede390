"""Flags are global to a process, so each command line here is a process of its own."""

import json
import subprocess
import sys

import pytest

from experiments.settings import by_preset

_EXPERIMENT = """
import dataclasses, json
from absl import flags
from experiments.settings import define_flags, launch, resolve, setting
from metabone.errors import InputError

@dataclasses.dataclass(frozen=True)
class Settings:
    source: str = setting("", "Where images come from.")
    steps: int = setting(10, "Outer steps.")
    rate: float = setting(0.5, "Rate of the inner loop.")
    pooled: bool = setting(False, "All regions together.")
    shots: tuple[int, ...] = setting((5, 10), "Support films a class.")
    cuts: tuple[float, ...] = setting((84.0,), "Months.")

PRESETS = {"small": dict(steps=3, shots=(1,)), "large": dict(rate=0.25, pooled=True)}
define_flags(Settings, PRESETS, default="small")

def main():
    settings = resolve(Settings, PRESETS)
    if settings.source == "nowhere":
        raise InputError("source 'nowhere':\\n  no such folder")
    print(json.dumps(dataclasses.asdict(settings)))

if __name__ == "__main__":
    launch(main)
"""
SMALL = {
    "source": "",
    "steps": 3,
    "rate": 0.5,
    "pooled": False,
    "shots": [1],
    "cuts": [84.0],
}
LARGE = SMALL | {"steps": 10, "rate": 0.25, "pooled": True, "shots": [5, 10]}


@pytest.fixture(scope="module")
def command_line(tmp_path_factory):
    script = tmp_path_factory.mktemp("experiment") / "experiment.py"
    script.write_text(_EXPERIMENT)

    def run(*arguments):
        command = [sys.executable, str(script), *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=120)

    return run


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], SMALL),
        (["--preset=large"], LARGE),
        # A flag holds over the preset even where it says what the default says.
        (["--steps=10", "--preset=small", "--source=a b"], SMALL | {"steps": 10, "source": "a b"}),
        (["--preset=large", "--nopooled", "--rate=1e-3"], LARGE | {"pooled": False, "rate": 1e-3}),
        (["--shots=20,5", "--cuts=84,114.5"], SMALL | {"shots": [20, 5], "cuts": [84.0, 114.5]}),
    ],
)
def test_flags_hold_over_the_preset_and_the_preset_over_the_defaults(
    command_line, arguments, expected
):
    done = command_line(*arguments)
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert found == expected
    # 84 and 84.0 are equal, but settings are hashed as text.
    assert {name: str(value) for name, value in found.items()} == {
        name: str(value) for name, value in expected.items()
    }


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--stepps=3"], ["'stepps'", "Did you mean: steps", "--help"]),
        (["--steps=many"], ["--steps=many", "--help"]),
        (["--preset=huge"], ["huge", "large", "small"]),
        (["--shots=5,many"], ["--shots=5,many", "int", "5,10"]),
        (["--cuts=84;114"], ["--cuts=84;114", "float", "84.0"]),
        (["steps=3"], ["'steps=3'", "--name=value"]),
        (["--source=nowhere"], ["source 'nowhere': no such folder"]),
    ],
)
def test_what_a_user_gets_wrong_ends_in_one_line_and_status_2(command_line, arguments, parts):
    done = command_line(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    for part in parts:
        assert part in line


def test_help_names_only_the_first_of_many_presets():
    many = {name: index // 2 for index, name in enumerate("abcdef")}
    assert by_preset(many) == "0 in a and b, other presets their own"
    assert by_preset(many | {"b": (1, 2)}) == "0 in a, 1,2 in b, other presets their own"
    assert by_preset(dict.fromkeys("abcdef", 7)) == "7"


def test_help_lists_each_setting_with_what_each_preset_makes_of_it(command_line):
    done = command_line("--help")
    assert done.returncode == 0
    text = " ".join(done.stdout.split())
    assert "--source: Where images come from. [none]" in text
    assert "--steps: Outer steps. [3 in small, 10 in large]" in text
    assert "--rate: Rate of the inner loop. [0.5 in small, 0.25 in large]" in text
    assert "--[no]pooled: All regions together. [False in small, True in large]" in text
    assert "--shots: Support films a class. [1 in small, 5,10 in large]" in text
    assert "--cuts: Months. [84.0]" in text
    assert "--preset: <large|small>: Which settings hold where no flag does." in text
