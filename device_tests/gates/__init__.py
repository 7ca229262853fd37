"""What may be shipped: budgets and baselines, and how CI shows their verdicts."""
