"""The web demo: draw a digit and see what several artifacts answer, in the browser and offline."""
