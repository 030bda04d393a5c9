"""How labelled pictures become a benchmark: splits, task and what a record states of them."""
