"""What training tools print: one module a tool, and one for the loops of everybody else."""
