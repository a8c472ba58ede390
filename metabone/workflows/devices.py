"""A CPU's cores as devices, for tasks that are dealt out to them."""

import os

import jax

from metabone.errors import InputError


def make_devices(mapping: str, meta_batch: int) -> None:
    """Has a CPU's cores be devices where tasks are to be dealt out to them.

    To be called before JAX looks for its devices. Of a CPU's cores as many are taken as share the
    tasks equally.

    Args:
      mapping: see `training.meta.meta_step`; nothing is done for any but `devices`.
      meta_batch: tasks an outer step.

    Raises:
      InputError: what devices there are cannot share the tasks; names the nearest numbers of tasks
        that they can.
    """
    if mapping != "devices":
        return
    cores = os.cpu_count() or 1
    if "xla_force_host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
        fitting = [count for count in range(1, cores + 1) if meta_batch % count == 0]
        # Two is the least that shares anything: with fewer the message below says what fits.
        jax.config.update("jax_num_cpu_devices", max(fitting[-1], min(2, cores)))
    devices = jax.local_device_count()
    if devices < 2:
        raise InputError("--mapping=devices: there is one device to deal tasks out to; take scan")
    if meta_batch % devices:
        below = meta_batch // devices * devices
        near = " or ".join(f"--meta_batch={size}" for size in (below, below + devices) if size)
        raise InputError(
            f"--mapping=devices: {meta_batch} tasks an outer step (--meta_batch) cannot be dealt "
            f"out to {devices} devices equally; take {near}"
        )
