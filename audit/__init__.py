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
    admissions which department answers for a node that joined later
    blame      who signed two things of which no honest node signs both
    evidence   that, in a file that stands alone
    gaps       both halves of every exchange, laid side by side
    tables     the ledger as rows, by executing it again
    questions  what auditors ask, in SQL over those rows
    memory     the last checkpoint that this auditor has seen of each ledger
    sources    where the bytes come from: a data directory, a live node
"""
