"""Contracts: the rules that decide which records enter the ledger, and what they change.

A contract is a function of the state just before a record, the record's header, its document if it
carries one, and the block's time and height. It answers with writes or with a refusal
(`contracts.refusals`). It reads no clock, no list and no attachment, so every node and every
auditor comes to the same answer.

    consortium   who takes part: departments, nodes, keys, voters, settings
    governance   proposals and ballots about that
    membership   what can be decided, and what each decision changes
    keys         record keys that a department adds and revokes by itself
    catalog      datasets and their fields          offers       what makes and changes them
    grants       who may read what, for which purpose, on which legal basis, until when
    limits       how much, how often, at what hours  lifecycle    what moves a grant
    policies     by which a provider decides without a person
    emergencies  two people start one, and it is reviewed afterwards
    calendars    working days                       vocabularies purposes and legal bases
    adoption     documents of the whole consortium: which calendar, which vocabulary
    exchanges    receipts, acknowledgements, denials, voids
    queries      what an exchange may ask a dataset for
    registry     which contract judges which kind
    machine      a whole entry: every check, every contract, the block
    state        the keys of the state     context   what one contract sees
"""
