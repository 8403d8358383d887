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
            "self._after_gathering.append(ports.Send(peer, part))",
            "self._effects.append(ports.Send(peer, part))",
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
    ),
)
