"""Agreement between nodes by Raft, without any input or output of its own."""
