"""What was measured: typed records, and which of them still count."""
