"""Where rows were measured."""

import pytest
from msgspec.structs import replace

from device_tests.report.machines import by_device, hardware, place, warnings
from device_tests.results.measurement import Environment


def placed(rows):
    several = by_device(rows)
    return [place(row, several) for row in rows], warnings(several)


@pytest.mark.parametrize("changed", [{"cpu": "another"}, {"cpus": 64}, {"os": "another kernel"}])
def test_another_cpu_or_system_is_another_machine(measured, changed):
    there = measured(environment=replace(measured().environment, **changed))
    names, (warning,) = placed([there, measured(), measured()])
    assert names == ["desktop (machine 2)", "desktop (machine 1)", "desktop (machine 1)"]
    assert f"machine 2 is {hardware(there.environment)}" in warning


def test_one_machine_needs_no_number_whatever_its_pythons_and_devices(measured):
    another_python = measured(environment=replace(measured().environment, python="3.9"))
    rows = [measured(), another_python, measured(device="cortex-a53")]
    assert placed(rows) == (["desktop", "desktop", "cortex-a53"], [])


def test_what_never_ran_belongs_to_the_first_machine(measured):
    other, never = measured(environment={"cpu": "another"}), measured(outcome="skipped", environment={})
    names, _ = placed([other, measured(), measured(), never])
    assert names[-1] == "desktop (machine 1)"
    assert placed([never]) == (["desktop"], [])
    assert hardware(Environment(os="Android 15")) == "Android 15"  # a browser that does not tell its processor
