"""Pictures and a frozen net in, vectors in a feature file out."""
