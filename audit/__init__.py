"""Audit: checks a ledger from its bytes, trusting no node and nothing but the genesis file.

It shares formats and contracts with the node, and neither consensus nor storage code.

    verify     the numbered steps, from genesis to the newest certificate
    findings   every finding: its code, what it means, what to do
    replay     one ledger executed again, and every stored key that follows from it
    proofs     one statement about a ledger, in a file that stands alone
    export     a ledger as static files for transparency-log tools
    cose       receipts as RFC 9942 spells them
    forks      two ledgers: same, prefix or fork, and where
    signed     what nodes have signed, as stores hold it
    admissions which department answers for a node that joined later, or who vouches for it
    blame      who signed two things of which no honest node signs both
    evidence   that, in a file that stands alone
    clocks     block times beside their signers' clocks
    gaps       both halves of every exchange, laid side by side
    tables     the ledger as rows, by executing it again
    questions  what auditors ask, in SQL over those rows
    listed     proofs that an answer about readers is complete
    index      those rows as a node keeps them for its auditors
    reach      who can have seen what, also through derived data
    graph      the same as a graph: circles, providers nobody could replace
    drawing    the graph as a picture
    memory     the last checkpoint that this auditor has seen of each ledger
    sources    where the bytes come from: a data directory, a live node
"""
