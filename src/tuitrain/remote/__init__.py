"""Files on other machines, through the system's `ssh`: a mirror of them here, which everything else reads."""
