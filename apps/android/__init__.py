"""The Android app: artifacts on a phone, compared, checked and measured by engines that ship inside it."""
