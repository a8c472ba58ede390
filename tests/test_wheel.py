"""What others install: built, installed into an environment of its own, and looked at there."""

import os
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def run(*command, **options):
    options = {"capture_output": True, "text": True, "timeout": 300} | options
    return subprocess.run([str(part) for part in command], **options)


def test_every_package_is_listed():
    folders = {
        "metabone" + "".join(f".{part}" for part in file.parent.relative_to(root).parts)
        for root in (ROOT / "metabone",)
        for file in root.rglob("__init__.py")
    }
    folders |= {
        ".".join(("metabone", *file.parent.relative_to(ROOT).parts))
        for file in (ROOT / "experiments").rglob("__init__.py")
    }
    assert sorted(folders) == PROJECT["tool"]["setuptools"]["packages"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    # From a copy, since building leaves folders behind.
    copy = folder / "source"
    for name in ("metabone", "experiments", "pyproject.toml", "README.md", "LICENSE"):
        copy.mkdir(exist_ok=True)
        run("cp", "-r", ROOT / name, copy / name, check=True)
    done = run(sys.executable, *("-m", "pip", "wheel", "--no-deps", "-q", "-w"), folder, copy)
    assert done.returncode == 0, done.stderr
    (wheel,) = folder.glob("metabone-*.whl")
    return wheel


@pytest.fixture(scope="module")
def environment(wheel, tmp_path_factory):
    """An environment with the wheel, that sees what metabone needs but not the checkout."""
    folder = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", "--without-pip", folder, check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    target = ("--target", packages, "--no-deps", "--no-compile", "-q")
    done = run(sys.executable, "-m", "pip", "install", *target, wheel)
    assert done.returncode == 0, done.stderr
    # As a path, so that the editable install's own .pth is not read; what is first is found first.
    (packages / "needed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder


@pytest.fixture
def installed(environment, tmp_path):
    """Runs the environment's Python in an empty folder."""
    # The checkout may stand on the path of the tests.
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def call(*arguments):
        return run(environment / "bin" / "python", *arguments, cwd=tmp_path, env=env)

    return call


@pytest.mark.slow
def test_the_wheel_holds_metabone_alone_with_experiments_inside(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    top = {name.partition("/")[0] for name in names}
    version = wheel.name.split("-")[1]
    assert top == {"metabone", f"metabone-{version}.dist-info"}
    assert "metabone/py.typed" in names
    source = wheel.parent / "source"
    kept = [file for root in ("metabone", "experiments") for file in (source / root).rglob("*")]
    kept = [file.relative_to(source) for file in kept if file.is_file()]
    kept = [path for path in kept if "__pycache__" not in path.parts]
    expected = {
        str("metabone" / path) if path.parts[0] == "experiments" else str(path) for path in kept
    }
    assert {name for name in names if name.startswith("metabone/")} == expected


@pytest.mark.slow
def test_the_installed_package_is_used_and_the_command_answers(installed, environment):
    code = "import metabone as mb; print(mb.__file__, mb.__version__, mb.maml.__module__)"
    done = installed("-c", code)
    file, version, module = done.stdout.split()
    assert file.startswith(str(environment)) and module == "metabone.learners.maml"
    assert installed("-c", "import experiments").stderr.endswith("No module named 'experiments'\n")
    done = installed(next(environment.glob("lib/python*/site-packages/bin/metabone")), "--version")
    assert (done.returncode, done.stdout) == (0, f"metabone {version}\n")
    done = installed("-m", "metabone", "--help")
    assert done.returncode == 0 and "  smi " in done.stdout
    done = installed("-m", "metabone", "smi", "--help")
    assert done.returncode == 0 and "--target=TEXT" in done.stdout


@pytest.mark.slow
def test_mypy_finds_a_wrong_type_in_code_that_uses_it(environment, tmp_path):
    (tmp_path / "theirs.py").write_text(
        "import metabone as mb\n"
        "\n"
        "network: mb.Network = mb.conv_net(5)\n"
        "learner: mb.MetaLearner = mb.maml(network, inner_steps=3)\n"
        "wrong = mb.maml(network, inner_steps='three')\n"
        "missing = mb.mamml(network)\n"
    )
    python = environment / "bin" / "python"
    command = ("-m", "mypy", "--python-executable", python, "--no-error-summary")
    done = run(sys.executable, *command, "theirs.py", cwd=tmp_path)
    found = [line for line in done.stdout.splitlines() if ": error: " in line]
    assert [line.split(":")[1] for line in found] == ["5", "6"]
    assert 'has incompatible type "str"; expected "int"' in found[0]
    assert 'has no attribute "mamml"' in found[1]
