"""What the numbers of runs say: summaries, comparisons, smoothing, decimation, progress."""
