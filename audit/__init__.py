"""Verification of a ledger by somebody who trusts no node."""
