"""The command line for people: everything over HTTP, and everything on ledger files."""
