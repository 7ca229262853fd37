"""Why an artifact is as large, fast and exact as it is: which kernels run, in which numbers, and where errors begin."""
