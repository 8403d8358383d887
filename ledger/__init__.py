"""Concordat's formats and proofs: bytes in, values or a named refusal out.

This package is wholly pure: no files, no sockets, no clock, no randomness. It imports nothing else
of Concordat, so an auditor can use it alone. Where to look:

| question                                     | module                                            |
|----------------------------------------------|---------------------------------------------------|
| how are values spelled in bytes?             | `codec`, `text`, `types`                          |
| what does a signature say?                   | `statements`; checked by the rule in `signatures` |
| what is a record, and what travels with it?  | `records`, `attachments`                          |
| what is a block, and what made it?           | `blocks`, `entries`                               |
| how does a ledger start?                     | `genesis`                                         |
| what is in the tree, and how is it proved?   | `tree` builds, `proofs` checks, `tiles` stores    |
| who vouches for a tree?                      | `notes`, `checkpoints`, `certificates`            |
| what is the state, and how is it proved?     | `state_tree`, `state_proofs`, `list_heads`        |
| where does it lie in a store?                | `store_keys`                                      |

`docs/FORMATS.md` has a byte table and a vector for each format.
"""
