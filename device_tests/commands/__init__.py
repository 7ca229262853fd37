"""One thin file per command of `python -m device_tests`. Each checks all of its arguments before it reads or starts anything.

Their exit codes, the same for every program of the project, are in docs/commands.md; the classes that have them in
models/common/errors.py, the rest in models/common/console.py. A cell is skipped, which fails nothing by itself, where a
desktop runtime that nobody named is not installed.
"""
