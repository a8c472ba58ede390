"""How many of a CPU's cores become devices, and what is said where tasks do not fit."""

import pytest

from metabone.errors import InputError
from metabone.workflows import devices


@pytest.fixture
def machine(monkeypatch):
    """A machine of some cores, of which as many become devices as are asked for."""
    found = {}

    def of(cores):
        found["devices"] = 1
        monkeypatch.delenv("XLA_FLAGS", raising=False)
        monkeypatch.setattr(devices.os, "cpu_count", lambda: cores)
        monkeypatch.setattr(devices.jax, "local_device_count", lambda: found["devices"])
        monkeypatch.setattr(
            devices.jax.config, "update", lambda name, count: found.update(devices=count)
        )
        return found

    return of


@pytest.mark.parametrize(("cores", "tasks", "used"), [(2, 4, 2), (8, 6, 6), (8, 12, 6), (3, 4, 2)])
def test_as_many_cores_are_devices_as_share_the_tasks_equally(machine, cores, tasks, used):
    found = machine(cores)
    devices.make_devices("devices", tasks)
    assert found["devices"] == used


@pytest.mark.parametrize(
    ("cores", "tasks", "near"),
    [(2, 3, "--meta_batch=2 or --meta_batch=4"), (2, 1, "take --meta_batch=2$")],
)
def test_tasks_that_cannot_be_shared_are_refused_with_the_nearest_numbers(
    machine, cores, tasks, near
):
    machine(cores)
    with pytest.raises(InputError, match=f"{tasks} tasks an outer step .*{near}"):
        devices.make_devices("devices", tasks)


def test_a_single_core_has_nothing_to_deal_out_to(machine):
    machine(1)
    with pytest.raises(InputError, match="one device to deal tasks out to; take scan"):
        devices.make_devices("devices", 4)


def test_other_mappings_leave_the_devices_alone(machine):
    found = machine(2)
    devices.make_devices("vmap", 3)
    assert found["devices"] == 1
