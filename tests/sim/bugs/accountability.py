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
)
