"""Where artifacts run: runtimes x devices -> measurements -> report and budgets."""
