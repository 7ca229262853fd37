"""What a phone tells of its cores, clocks, heat, screen and power; no real one was ever asked here."""

from types import SimpleNamespace

from device_tests.transport.android import conditions

# as a phone with four little, three middle and one big core answers the script
FACTS = {
    **{f"cpu{i}.cpuinfo_max_freq": "1704000" for i in range(4)},
    **{f"cpu{i}.cpuinfo_max_freq": "2367000" for i in range(4, 7)},
    "cpu7.cpuinfo_max_freq": "2914000",
    **{f"cpu{i}.scaling_governor": "sched_pixel" for i in range(8)},
    "thermal_status": "0",
    "screen": "Asleep",
    "power": "USB",
    "battery_percent": "87",
    "battery_decicelsius": "291",
}


def test_lines_without_a_fact_are_none_and_cores_are_told_apart_by_their_highest_clock():
    output = "sh: dumpsys: not found\ncpu0.scaling_governor=schedutil\r\nbattery_percent=50\n"
    facts = conditions.read(SimpleNamespace(shell=lambda script: output))
    assert facts == {"cpu0.scaling_governor": "schedutil", "battery_percent": "50"}
    for size, numbers, mask in (("big", (7,), "80"), ("little", (0, 1, 2, 3), "f")):
        assert (conditions.cores(FACTS, size), conditions.mask(numbers)) == (numbers, mask)


def test_the_environment_says_what_was_before_and_after_and_throttling_is_a_warning():
    after = FACTS | {"battery_percent": "86", "battery_decicelsius": "318"}
    assert conditions.facts(FACTS, after, (7,)) == {
        "cores": "cpu7",
        "governor": "sched_pixel",
        "thermal_status": "0 before, 0 after",
        "battery": "87 %, 29.1 °C before, 86 %, 31.8 °C after",
        "screen": "Asleep",
        "power": "USB",
    }
    assert conditions.warnings(FACTS, after, (7,)) == []
    hot = FACTS | {"thermal_status": "2"}
    assert conditions.warnings(FACTS, hot, (7,)) == ["the phone throttled: thermal status 0, then 2"]


def test_what_a_phone_keeps_to_itself_is_said_to_be_unknown_and_it_is_not_pinned():
    facts = conditions.facts({}, {}, ())
    assert facts["governor"] == facts["screen"] == facts["power"] == "not told"
    assert facts["battery"] == "not told before, not told after"
    assert conditions.cores({}, "big") == ()
    (warning,) = conditions.warnings({}, {}, ())
    assert warning == "the phone does not tell its cores' clocks: timed on whichever core it chose"
