"""The report of a folder of results: what its page says, section by section."""
