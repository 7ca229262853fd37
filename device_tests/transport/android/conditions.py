"""The conditions that a phone's times depend on: its cores, clocks, heat, screen and power."""

from collections.abc import Mapping
from typing import Any

from device_tests.transport.android.client import Client

BIG, LITTLE = "big", "little"
UNKNOWN = "not told"  # what the phone does not tell adb's shell
# A line per fact, NAME=VALUE. What a phone does not have, or does not tell to adb's shell, is absent.
SCRIPT = """
cd /sys/devices/system/cpu
for cpu in cpu[0-9]*; do
  for name in cpuinfo_max_freq scaling_governor; do
    [ ! -r $cpu/cpufreq/$name ] || echo $cpu.$name=$(cat $cpu/cpufreq/$name)
  done
done
dumpsys thermalservice 2>/dev/null | sed -n 's/^ *Thermal Status: */thermal_status=/p' | head -n 1
dumpsys power 2>/dev/null | sed -n 's/^ *mWakefulness=/screen=/p' | head -n 1
dumpsys battery 2>/dev/null | sed -n 's/^ *\\(AC\\|USB\\|Wireless\\) powered: true/power=\\1/p; s/^ *level: /battery_percent=/p; s/^ *temperature: /battery_decicelsius=/p'
"""


def read(client: Client) -> dict[str, str]:
    """Return the phone's present conditions by name."""
    lines = (line.strip().partition("=") for line in client.shell(SCRIPT).splitlines())
    return {name: value for name, mark, value in lines if mark}


def cores(state: Mapping[str, str], size: str) -> tuple[int, ...]:
    """Return the numbers of the big or the little cores, by their highest clock; none where clocks are unknown."""
    ghz = {
        int(name.removeprefix("cpu").partition(".")[0]): int(value)
        for name, value in state.items()
        if name.endswith(".cpuinfo_max_freq")
    }
    if not ghz:
        return ()
    clock = max(ghz.values()) if size == BIG else min(ghz.values())
    return tuple(sorted(number for number, own in ghz.items() if own == clock))


def mask(numbers: tuple[int, ...]) -> str:
    """Return cores in taskset's format, hexadecimal."""
    return f"{sum(1 << number for number in numbers):x}"


def facts(before: Mapping[str, str], after: Mapping[str, str], numbers: tuple[int, ...]) -> dict[str, Any]:
    """Return the fields of a row's environment on the phone before and after its times were taken."""
    governors = {before.get(f"cpu{number}.scaling_governor", UNKNOWN) for number in numbers} or {UNKNOWN}
    return {
        "cores": ", ".join(f"cpu{number}" for number in numbers) or "any: its clocks are not told",
        "governor": ", ".join(sorted(governors)),
        "thermal_status": f"{before.get('thermal_status', UNKNOWN)} before, {after.get('thermal_status', UNKNOWN)} after",
        "battery": f"{_battery(before)} before, {_battery(after)} after",
        "screen": before.get("screen", UNKNOWN),
        "power": before.get("power", "battery" if "battery_percent" in before else UNKNOWN),
    }


def warnings(before: Mapping[str, str], after: Mapping[str, str], numbers: tuple[int, ...]) -> list[str]:
    """Return a sentence for each thing that makes the times doubtful."""
    sentences = []
    if not numbers:
        sentences.append("the phone does not tell its cores' clocks: timed on whichever core it chose")
    if {before.get("thermal_status", "0"), after.get("thermal_status", "0")} != {"0"}:
        sentences.append(
            f"the phone throttled: thermal status {before.get('thermal_status')}, then {after.get('thermal_status')}"
        )
    return sentences


def _battery(state: Mapping[str, str]) -> str:
    if "battery_percent" not in state:
        return UNKNOWN
    warmth = f", {int(state['battery_decicelsius']) / 10:g} °C" if "battery_decicelsius" in state else ""
    return f"{state['battery_percent']} %{warmth}"
