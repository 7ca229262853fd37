"""How this program talks to devices: processes and their pipes, adb, ssh, and the bundles that are copied there."""
