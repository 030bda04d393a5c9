"""What the product must survive: damage, other people's files, kills. `make torture` runs it."""
