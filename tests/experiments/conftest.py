"""Experiments in processes of their own, without importing each time what they all import."""

import json
import os
import subprocess
import sys

import pytest

_SERVER = """
import json, os, runpy, sys
import metabone.datasets.folder, metabone.datasets.own_films, metabone.datasets.rsna
import metabone.datasets.streaming, metabone.report.write, metabone.training.run
import metabone.workflows.adaptation, metabone.workflows.family_table
import metabone.workflows.film_data, metabone.workflows.film_table
import metabone.workflows.export, metabone.workflows.learned_runs
import metabone.workflows.prediction_files

for line in sys.stdin:
    module, flags, printed, said = json.loads(line)
    if not (child := os.fork()):
        for name, number in ((printed, 1), (said, 2)):
            os.dup2(os.open(name, os.O_CREAT | os.O_WRONLY | os.O_TRUNC), number)
        sys.argv = [module, *flags]
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Starter:
    """Starts experiments one after another, each as a copy of a process that has imported much.

    Attributes:
      environment: of these processes, for those that are started in the usual way: they share what
        they compile.
    """

    def __init__(self, folder):
        self._files = [folder / "printed", folder / "said"]
        self.environment = os.environ | {
            "JAX_PLATFORMS": "cpu",
            "JAX_COMPILATION_CACHE_DIR": str(folder / "compiled"),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            # There is nothing here that fast code would make faster.
            "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
            "XLA_FLAGS": "--xla_cpu_use_fusion_emitters=false",
        }
        self._server = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", _SERVER],
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def start(self, module, flags):
        """Runs an experiment to its end: exit status, standard output, standard error."""
        line = json.dumps([module, list(flags), *map(str, self._files)])
        self._server.stdin.write(line + "\n")
        self._server.stdin.flush()
        return (int(self._server.stdout.readline()), *(file.read_text() for file in self._files))

    def close(self):
        self._server.communicate(timeout=60)
        assert self._server.returncode == 0


@pytest.fixture(scope="session")
def starter(tmp_path_factory):
    starter = Starter(tmp_path_factory.mktemp("processes"))
    yield starter
    starter.close()
