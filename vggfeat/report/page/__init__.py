"""A report as one HTML file: what a page is made of, and the templates that print it."""
