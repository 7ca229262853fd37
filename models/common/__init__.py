"""What every floor uses and no network needs: errors, files, records, the console, environments."""
