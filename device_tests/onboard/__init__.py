"""What is copied onto a device and stands alone there: the worker, the probe and the runtimes."""
