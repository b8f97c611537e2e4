"""The model of a chart: what a request for a plot of some runs shows, apart from how it is drawn."""
