"""`tuitrain doctor`: what this machine, another one or a Slurm cluster has for training, and how to mend the rest."""
