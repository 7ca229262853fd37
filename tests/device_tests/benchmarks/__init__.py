"""What measuring itself costs, and whether other tools find the same figures."""
