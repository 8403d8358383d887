"""Certificates and evidence (A1 to A12)."""

from sim.bugs.patching import bug

ACCOUNTABILITY = (
    bug(
        "a certificate is made of a minority",
        "A5",
        (
            "node.certification:_majorities",
            "2 * sum(node_id in present for node_id in voters) > len(voters)",
            "2 * sum(node_id in present for node_id in voters) >= len(voters) - 1",
        ),
    ),
    bug(
        "a signature leaves before its block is durable",
        "A6",
        (
            "node.replica:Replica._hand_over",
            "self._out.later(ports.Send(peer, part))",
            "self._out.now(ports.Send(peer, part))",
        ),
    ),
    bug(
        "a store that went back is not noticed",
        "A7",
        ("sim.world:World.key_spent", "self.spent[place] = Standing.BEHIND", "return None"),
        (
            "node.replica:Replica._standing_at_start",
            "return Standing.ASKING",
            "return Standing.GOOD",
        ),
        temper="failing disks",
    ),
    bug(
        "a leader's second entry for one place is taken",
        "A1",
        (
            "consensus.following:_extend",
            "if first <= log.last and log.last_term >= append.term:",
            "if False:",
        ),
        mode="byzantine",
        temper="many elections",
    ),
    bug(
        "signatures on trees of different sizes are not compared",
        "A2",
        (
            "audit.blame:_search",
            "for number, known in enumerate(roots):",
            "for number, known in ():",
        ),
        ("audit.blame:_search", "    for path in paths:", "    for path in ():"),
        situation="uneven fork",
    ),
    bug(
        "a ledger that ends earlier counts as another branch",
        "A3",
        ("audit.blame:_search", "largest = held[-1]", "largest = ordered[-1]"),
        ("audit.blame:_search", "known[size] != _root(each)", "known.get(size) != _root(each)"),
        ("audit.blame:blame", "assert all(", "assert True or all("),
        (
            "audit.blame:_two_checkpoints",
            "path = full_path(",
            "return TwoCheckpoints(one, other, ())\n    path = full_path(",
        ),
    ),
    bug(
        "an auditor looks at proposals alone",
        "A4",
        ("audit.blame:blame", "accused += [two] if two is not None else []", "two = None"),
        mode="byzantine",
    ),
    bug(
        "a signature counts whether it fits or not",
        "A5",
        ("node.certification:Certification.checked", "if not valid:", "if False:"),
        mode="byzantine",
    ),
    bug(
        "that a height is signed is not kept",
        "A6",
        (
            "node.cosigning:Cosigning._sign",
            'self._buffer.put(store_keys.SIGNED_MARK, height.to_bytes(8, "big"))',
            "pass",
        ),
    ),
    bug(
        "a key that was revoked still counts",
        "A8",
        (
            "contracts.consortium:department_of_key",
            "None if known is None or known.revoked_height is not None else",
            "None if known is None else",
        ),
        temper="changing keys",
    ),
    bug(
        "a key counts by the time at which its record says that it was made",
        "A8",
        (
            "contracts.machine:Execution._envelope",
            "if department_of_key(self._state, header.key) != header.department:",
            "from contracts.consortium import record_key\n"
            "        known = record_key(self._state, header.key)\n"
            "        early = header.created_ms < self._time_ms - 1_000\n"
            "        if known is None or (known.revoked_height is not None and not early):",
        ),
        temper="changing keys",
    ),
    bug(
        "evidence is kept without what its signatures cover",
        "A9",
        ("node.evidence:_proposal", "previous_hash=previous_hash", "previous_hash=bytes(32)"),
        mode="byzantine",
    ),
    bug(
        "an auditor believes a signature that it has not checked",
        "A10",
        (
            "audit.blame:blame",
            "return statement.holds(signatories[statement.node_id], check)",
            "return True",
        ),
        ("audit.blame:blame", "assert all(", "assert True or all("),
    ),
    bug(
        "a node ends that is to replace what is committed",
        "A12",
        (
            "consensus.following:_extend",
            "    if first <= log.commit:\n",
            "    if first <= log.commit:\n        log.get(log.last + 1)\n",
        ),
        mode="byzantine",
        temper="many elections",
    ),
)
