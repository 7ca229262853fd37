"""What a person reads: tables, advice and the page."""
