"""Every interleaving of the consensus core within stated bounds."""
