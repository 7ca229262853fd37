"""Where rows were measured."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from device_tests.report.machines import by_device, hardware, place, warnings
from device_tests.results.measurement import Environment


def placed(rows):
    several = by_device(rows)
    return [place(row, several) for row in rows], warnings(several)


def test_one_machine_needs_no_number(measured):
    assert placed([measured(), measured(device="cortex-a53")]) == (["desktop", "cortex-a53"], [])


@pytest.mark.parametrize("changed", [{"cpu": "another"}, {"cpus": 64}, {"os": "another kernel"}])
def test_another_cpu_or_system_is_another_machine(measured, changed):
    there = measured(environment=replace(measured().environment, **changed))
    names, (warning,) = placed([there, measured(), measured()])
    assert names == ["desktop (machine 2)", "desktop (machine 1)", "desktop (machine 1)"]
    assert f"machine 2 is {hardware(there.environment)}" in warning


def test_another_python_on_the_same_machine_is_no_other_machine(measured):
    names, sentences = placed([measured(), measured(environment=replace(measured().environment, python="3.9"))])
    assert (names, sentences) == (["desktop", "desktop"], [])


def test_what_never_ran_belongs_to_the_first_machine(measured):
    other = measured(environment={"cpu": "another"})
    names, _ = placed([other, measured(), measured(), measured(outcome="skipped", environment={})])
    assert names[-1] == "desktop (machine 1)"
    assert placed([measured(outcome="skipped", environment={})]) == (["desktop"], [])


def test_a_browser_that_does_not_tell_its_processor_has_a_machine_all_the_same():
    assert hardware(Environment(os="Android 15")) == "Android 15"
