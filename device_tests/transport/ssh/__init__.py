"""Boards that ssh reaches: Raspberry Pi, Jetson and others with a Linux and a Python of their own."""
