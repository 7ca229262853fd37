"""Typed records of measurements, and the functions that judge and check them."""
