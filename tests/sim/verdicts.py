"""What an auditor says who is shown every node's store at the end of a run.

A3: where nobody lies, nobody is accused, whatever crashed. A4: where two certificates contradict
each other, a liar is named. Never an honest node.
"""

from audit.blame import blame
from audit.signed import signatories_of
from sim.world import World


def accused(world: World) -> frozenset[bytes]:
    """The nodes that the auditor names."""
    found = blame(
        signatories_of(world.consortium.genesis_file.genesis),
        world.consortium.ledger_id,
        [disk.copy() for disk in world.disks.values()],
        check=world.check,
    )
    return frozenset(each.node_id for each in found)


def check_nobody_is_framed(world: World) -> None:
    """A3: crashes name nobody."""
    assert not accused(world), "an honest node is accused"
