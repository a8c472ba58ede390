"""The two ways in: `import metabone as mb`, and the command `metabone`."""

import ast
import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

import metabone
from metabone.__main__ import MODULES

ROOT = Path(__file__).parents[1]
# What learning needs none of, and what takes long to import.
HEAVY = ("tensorflow_datasets", "matplotlib", "h5py", "PIL", "orbax", "grain", "tensorboardX")


def python(*arguments):
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=60, cwd=ROOT
    )


def metabone_command(*arguments):
    return python("-m", "metabone", *arguments)


def imported(code):
    """Which of some modules are there after some code, and the seconds that it took."""
    code = f"import sys, time; began = time.perf_counter()\n{code}\n"
    code += "print(__import__('json').dumps([time.perf_counter() - began, list(sys.modules)]))"
    done = python("-c", code)
    assert done.returncode == 0, done.stderr
    seconds, modules = json.loads(done.stdout)
    return seconds, {module for module in modules if "." not in module}


def test_the_index_brings_nothing_before_a_name_is_asked_for():
    seconds, modules = min(imported("import metabone") for _ in range(3))
    assert seconds < 0.1
    assert modules.isdisjoint({"jax", "numpy", "flax", *HEAVY})


LEARNERS = [
    *("maml", "first_order_maml", "anil", "boil", "meta_sgd", "maml_plus_plus", "imaml"),
    *("reptile", "protonet", "r2d2", "logistic_head", "fine_tune", "scratch", "MetaLearner"),
]


def test_learners_tasks_and_networks_bring_no_reader_and_no_plot():
    names = [*LEARNERS, "Network", "conv_net", "smi_net", "Examples", "Episode", "sample"]
    names += ["build_store", "InputError"]
    _, modules = imported(f"import metabone as mb\nfor name in {names}: getattr(mb, name)")
    assert "jax" in modules
    assert modules.isdisjoint(HEAVY)


def test_every_name_of_the_index_is_what_its_module_calls_so():
    assert {*LEARNERS, "meta_train", "load_learner", "adapt", "load"} <= set(dir(metabone))
    for name in dir(metabone):
        assert getattr(metabone, name).__name__ == name
    with pytest.raises(AttributeError, match="has no attribute 'mamml'"):
        _ = metabone.mamml


def test_type_checkers_see_the_same_names_from_the_same_modules():
    tree = ast.parse(Path(metabone.__file__).read_text())
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    seen = {
        alias.asname: f"{line.module}.{alias.name}" for line in block.body for alias in line.names
    }
    assert seen.keys() == set(dir(metabone))
    for name, path in seen.items():
        module, _, original = path.rpartition(".")
        assert original == name
        assert getattr(importlib.import_module(module), name) is getattr(metabone, name)


@pytest.mark.parametrize("words", [(), ("--help",), ("-h",), ("help",)])
def test_the_command_alone_lists_every_command_with_a_line(words):
    done = metabone_command(*words)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "metabone COMMAND [--name=value ...]"
    named = [line.split()[0] for line in lines if line.startswith("  ")]
    assert named == list(MODULES)
    assert all(len(line) <= 80 for line in lines)


@pytest.mark.parametrize("words", [("--version",), ("version",), ("smi", "--version")])
def test_the_version_is_that_of_the_package(words):
    done = metabone_command(*words)
    assert (done.returncode, done.stdout) == (0, f"metabone {metabone.__version__}\n")


@pytest.mark.parametrize("words", [[], *([name] for name in MODULES)], ids="-".join)
def test_help_comes_at_once_and_without_importing_what_the_work_needs(words):
    code = (
        "from metabone.__main__ import main\n"
        f"sys.argv = ['metabone', *{words}, '--help']\n"
        "sys.stdout = sys.stderr\n"
        "try: main()\n"
        "except SystemExit as end: assert end.code == 0\n"
        "sys.stdout = sys.__stdout__"
    )
    seconds, modules = imported(code)
    assert seconds < 1.5
    assert modules.isdisjoint({"jax", "flax", *HEAVY})


def test_help_of_a_command_is_that_of_its_module():
    first, second = metabone_command("help", "meta_dataset"), metabone_command("meta-dataset", "-h")
    assert first.stdout == second.stdout
    assert first.stdout.startswith("metabone meta-dataset [--preset=NAME] [--name=value ...]\n")
    alone = python("-m", "experiments.meta_dataset", "--help").stdout
    assert "\n  python -m experiments.meta_dataset\n" in alone
    alone = alone.replace("python -m experiments.meta_dataset", "metabone meta-dataset")
    assert alone.splitlines()[1:] == first.stdout.splitlines()[1:]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("metadataset",), "unknown command 'metadataset' (did you mean meta-dataset?)"),
        (("frobnicate",), "unknown command 'frobnicate'; metabone --help lists them all"),
        (("--smi",), "unknown flag before a command '--smi' (did you mean smi?)"),
        (("smi", "--taget=x"), "unknown flag --taget (did you mean --target?)"),
        (("compare", "one"), "compare: expected the folders of two runs, not 1"),
        (("runs", "--runs_dir=nowhere"), "nowhere: no such folder"),
    ],
)
def test_what_is_no_command_is_told_in_one_line_with_a_close_match(words, message):
    done = metabone_command(*words)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: {message}")


def test_every_module_that_launches_is_a_command():
    launching = {
        f"{folder.name}.{path.stem}"
        for folder in (ROOT / "experiments", ROOT / "metabone" / "commands")
        for path in folder.glob("*.py")
        if "\nCOMMAND = Command(" in path.read_text()
    }
    assert launching == set(MODULES.values())
