import dataclasses

import pytest

from experiments.command_line.help import by_preset, help_text
from metabone.commands.command import Command, Preset
from metabone.workflows.settings import setting

TEXT = """Toy runs, in no time at all, whatever their settings are.

  python -m toy --rate=0.25

They show that the command
line works.
"""


@dataclasses.dataclass(frozen=True)
class Settings:
    source: str = setting("", "Where images come from.", "Images")
    steps: int = setting(10, "Outer steps.", "Training")
    pooled: bool = setting(False, "All regions together.", "Images")
    a_setting_with_a_long_name: tuple[float, ...] = setting((84.0,), "Months.", "Training")


PRESETS = {
    "small": Preset(dict(steps=3), "a second", "meta 55 %, simulated films"),
    "large": Preset(dict(pooled=True), "Hours on a GPU.", ""),
}


@pytest.fixture
def lines(monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    command = Command("toy", "Toy runs.", TEXT, Settings, PRESETS, print, runs=True)
    return help_text(command, "metabone toy").splitlines()


def test_help_begins_with_the_command_and_what_it_does(lines):
    assert lines[0] == "metabone toy [--preset=NAME] [--name=value ...]"
    assert lines[2:4] == ["Toy runs, in no time at all, whatever their settings are.", ""]
    # What is indented is an example; the rest is wrapped anew.
    assert lines[4:7] == [
        "  python -m toy --rate=0.25",
        "",
        "They show that the command line works.",
    ]


def test_help_tells_the_time_and_the_figure_of_each_preset(lines):
    at = lines.index("Presets (without one, small)")
    assert [line.strip() for line in lines[at + 1 : at + 4]] == [
        "--preset=small            A second. Meta 55 %, simulated",
        "films.",
        "--preset=large            Hours on a GPU.",
    ]


def test_help_groups_the_settings_by_theme_with_the_default_of_each_preset(lines):
    at = lines.index("Images")
    column = 28
    assert lines[at : at + 10] == [
        "Images",
        f"{'  --source=TEXT':<{column}}Where images come from.",
        f"{'  --[no]pooled':<{column}}All regions together. [no in",
        f"{'':<{column}}small, yes in large]",
        "",
        "Training",
        f"{'  --steps=N':<{column}}Outer steps. [3 in small, 10 in",
        f"{'':<{column}}large]",
        "  --a_setting_with_a_long_name=X,...",
        f"{'':<{column}}Months. [84.0]",
    ]
    themes = [line for line in lines if line and not line.startswith(" ")]
    assert themes[-2:] == ["Runs", "This command"]
    assert any(line.startswith("  --runs_dir=TEXT ") for line in lines)


def test_help_fits_the_terminal(lines):
    assert max(map(len, lines)) <= 60


def test_help_names_only_the_first_of_many_presets():
    many = {name: index // 2 for index, name in enumerate("abcdef")}
    assert by_preset(many) == "0 in a and b, other presets their own"
    assert by_preset(many | {"b": (1, 2)}) == "0 in a, 1,2 in b, other presets their own"
    assert by_preset(dict.fromkeys("abcdef", 7)) == "7"
    assert by_preset({"a": True, "b": ""}) == "yes in a, none in b"


def test_examples_are_written_as_the_program_was_started():
    text = "Toys.\n\n  python -m experiments.big_toy --steps=3\n"
    command = Command("big_toy", "A toy.", text, Settings, {}, print)
    assert "  metabone big-toy --steps=3" in help_text(command, "metabone big-toy")
    checkout = "python -m experiments.big_toy"
    assert f"  {checkout} --steps=3" in help_text(command, checkout)
