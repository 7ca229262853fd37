"""One thin file per command of `python -m device_tests`. Each checks all of its arguments before it reads or starts anything.

Exit codes, the same for every program of the project (classes: models/common/errors.py, the rest: models/common/console.py):

| Code | Means |
|---|---|
| 0 | all went as expected; at least one cell that was asked for ran or was current |
| 1 | a cell failed that the budgets do not expect to fail, or a check of the method did |
| 2 | the command line asks for what does not exist or does not go together |
| 3 | a data set, checkpoint, artifact, reference or result is missing, broken or of another origin |
| 4 | a runtime, tool or device is missing: nothing ran on one that was named, or nothing ran at all |
| 5 | a toolchain cannot do what was asked |
| 6 | a folder, a file or standard output cannot be written |
| 10 | `check`: a budget or the baseline is broken |
| 70 | a defect of Edgewise; the traceback is in the file that the message names |
| 130 | Ctrl-C; what is finished is kept |
| 141 | nobody reads standard output any more |

A cell is skipped, which fails nothing by itself, where a desktop runtime that nobody named is not installed.
"""
