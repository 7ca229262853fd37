"""The app's tests on this machine, which `nox -s "apps(android)" -- --test` runs; no build needs them."""
