"""Why an artifact is as large, as fast and as exact as it is: what ran where, in which numbers, and where errors begin."""
