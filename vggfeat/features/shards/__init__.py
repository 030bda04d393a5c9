"""A folder of feature files, one for each part of the pictures, where there are very many."""
