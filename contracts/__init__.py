"""The rules by which records are accepted, as deterministic functions of the state."""
