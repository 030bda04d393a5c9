"""Features that other programs computed: read from their files, as vectors of length one."""
