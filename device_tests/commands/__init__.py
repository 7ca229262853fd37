"""One thin file per command of `python -m device_tests`."""
