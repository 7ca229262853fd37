"""What the name of the app as a device asks for, and which names are one phone."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from device_tests import devices
from device_tests.contract import Job
from device_tests.devices import app
from device_tests.schedule import Turns
from models.errors import UsageError


@pytest.mark.parametrize("wishes", ["+t2+t4", "+xnnpack+no_xnnpack"])
def test_two_wishes_of_a_kind_are_refused(wishes):
    with pytest.raises(UsageError, match="asks for two of a kind"):
        devices.device(f"app:A1{wishes}")


def test_wishes_in_another_order_are_the_same_device_and_one_phone_is_one_host():
    one, other = devices.device("app:A1+nnapi+t2"), devices.device("app:A1+t2+nnapi")
    assert one.name == other.name == "app:A1+t2+nnapi"
    assert app._MEASURING[one.client.serial] is app._MEASURING[other.client.serial]


def test_a_phone_measures_one_cell_at_a_time(monkeypatch, tmp_path):
    """The app leaves what it does for what it is asked next."""
    there, most = [], []

    def measured(self, job: Job, turns: Turns) -> dict:
        there.append(job)
        most.append(len(there))
        threading.Event().wait(0.05)
        there.remove(job)
        return {"outcome": "ok"}

    monkeypatch.setattr(app.App, "_measured", measured)
    monkeypatch.setattr(app.App, "_reply", lambda self, row: row)
    turns = Turns(2)
    files = dict.fromkeys(("artifact", "sidecar", "reference"), tmp_path)
    job = Job(runtime="litert", **files, timeout_s=9, images=0, latency_s=0)
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda name: devices.device(name).run(job, turns), ("app:B2", "app:B2+t4", "app:B2")))
    assert most == [1, 1, 1]
