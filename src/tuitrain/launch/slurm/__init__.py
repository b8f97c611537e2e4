"""Runs as jobs of Slurm: their batch script, what it calls in the job, and what the cluster has."""
