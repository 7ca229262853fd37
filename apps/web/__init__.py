"""The web demo: draw a digit and compare the predictions of several artifacts, in the browser and offline."""
