"""Proof files: one statement about a ledger, in a file that anyone with the genesis can check.

    format   the file: JSON with one accepted spelling for each content
    build    makes a proof from a store, as of the newest certificate
    trust    who may vouch for a checkpoint, along the voter chain
    check    judges a proof, offline; it imports formats and contracts and builds nothing;
             timelines  judges whether records are all that there is about a grant
    node_word  judges a COSE receipt: one node's word, and no proof by itself

Trust runs from the genesis down, and each link is in the file:

    genesis ── voters ──> certificate ── tree ──> block header ── state root ──> state proofs
                                    └── tree ──> record ── items root ──> item

A proof speaks of the moment of its certificate and of nothing after it. Who may
vouch changes with the voters; the voter chain, a file that many proofs share, leads there.
"""
