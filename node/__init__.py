"""A department's node: the deterministic replica, and the shell with its clock, disk and peers."""
