"""Where the pictures of a dataset come from: archives, folders, functions that draw them."""
