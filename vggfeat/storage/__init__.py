"""Files on disk: whole-or-nothing writes, default folders, locks, downloads, archives."""
