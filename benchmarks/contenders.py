"""Who takes part in the throughput benchmark, and in which variants.

Nothing is imported here that a contender needs, so that the parent process stays small and a
missing package is that contender's own failure.
"""

import os
from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple

OURS = "metabone"
CORES = os.cpu_count() or 1

Variant = dict[str, Any]


class Running(NamedTuple):
    """A contender that stands before its first meta-step.

    Attributes:
      step: takes one meta-step, waits for all of it, and returns the mean query loss that its
        weights had before the outer update.
      gradient_norm: the global norm of the last step's mean gradient; outside of what is timed.
      versions: of the libraries it runs on.
      program_bytes: what the compiled program asks for beyond arguments and results, once there is
        one; None where that cannot be asked.
    """

    step: Callable[[], float]
    gradient_norm: Callable[[], float]
    versions: dict[str, str]
    program_bytes: Callable[[], int] | None = None


class Contender(NamedTuple):
    """How to build a contender.

    Attributes:
      module: where its builder is.
      builder: `(setting, seed, **variant) -> Running`.
      variants: what is tried; the first is taken without tuning. What `env`
        names goes to the environment of the process instead of to the builder.
    """

    module: str
    builder: str
    variants: tuple[Variant, ...]

    def build(self) -> Callable[..., Running]:
        """Imports the builder."""
        return getattr(import_module(self.module), self.builder)


# What a variant may ask of its process's environment.
ENVIRONMENTS = {
    # OpenMP's threads spin while they wait, which is fast on an idle machine and ten times slower
    # on one where anything else wants a core.
    "passive": {"OMP_WAIT_POLICY": "PASSIVE"},
    # glibc gives every large array back to the system and faults it in again. PyTorch's tuning
    # guide advises another allocator; this asks the usual one to keep its memory.
    "keep": {
        "MALLOC_MMAP_THRESHOLD_": str(2**25),
        "MALLOC_TRIM_THRESHOLD_": str(2**33),
        "MALLOC_TOP_PAD_": str(2**26),
    },
    "devices_2": {"XLA_FLAGS": "--xla_force_host_platform_device_count=2"},
}

_KEPT = {"layout": "nchw", "threads": CORES, "env": ("keep",)}
_MODULES = (
    _KEPT,
    _KEPT | {"layout": "channels_last"},
    _KEPT | {"env": ("keep", "passive")},
    {"layout": "nchw", "threads": CORES},
    _KEPT | {"threads": 1},
)
_FUNCTIONS = (
    *({"tasks": "loop", **variant} for variant in _MODULES),
    {"tasks": "vmap", **_KEPT},
    {"tasks": "vmap", **_KEPT, "threads": 1},
    {"tasks": "loop", **_KEPT, "compiled": True},
    {"tasks": "vmap", **_KEPT, "compiled": True},
)

CONTENDERS = {
    # Keys of a variant of ours are `form` (of the convolutions), `mapping` (of `meta_step`) and
    # `remat` (of `maml`); what is left away is the library's default.
    OURS: Contender(
        "benchmarks.jax_contenders",
        "metabone",
        (
            {},
            {"mapping": "devices", "env": ("devices_2",)},
            {"mapping": "devices", "env": ("devices_2", "keep")},
            {"mapping": "overlap"},
            {"env": ("keep",)},
            {"remat": True},
        ),
    ),
    "plain_jax": Contender(
        "benchmarks.jax_contenders", "plain_jax", ({"tasks": "map"}, {"tasks": "vmap"})
    ),
    "torch_func": Contender("benchmarks.torch_contenders", "torch_func", _FUNCTIONS),
    "learn2learn": Contender("benchmarks.torch_contenders", "learn2learn", _MODULES),
    "higher": Contender("benchmarks.torch_contenders", "higher", _MODULES),
    "torchopt": Contender("benchmarks.torch_contenders", "torchopt", _MODULES),
}


def name_of(variant: Variant) -> str:
    """A variant in a few words for the table."""
    words = []
    for key, value in variant.items():
        if key == "env":
            words.extend(value)
        elif key == "threads":
            words.append(f"{value} threads")
        elif isinstance(value, bool):
            words.append(key if value else f"no {key}")
        else:
            words.append(str(value) if key in ("layout", "tasks") else f"{key} {value}")
    return ", ".join(words) or "default"
