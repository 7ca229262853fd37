"""Android without a phone: a machine of its shape, the SDK's emulator, and the adb client that talks to either."""
