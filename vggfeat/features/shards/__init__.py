"""More vectors than a file should hold: a folder of feature files, one for each part of the pictures."""
