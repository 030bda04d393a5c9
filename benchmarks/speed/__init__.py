"""How fast the toolkit is, beside others that do the same and beside what the machine can do."""
