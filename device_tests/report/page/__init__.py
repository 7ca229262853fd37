"""The report as one page that opens in a browser: report/index.html."""
