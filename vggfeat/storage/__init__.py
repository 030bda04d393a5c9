"""Files, folders, locks, downloads and archives."""
