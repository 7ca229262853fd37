"""How one talks to a device: processes and their pipes, adb, ssh, and the bundles that are copied there."""
