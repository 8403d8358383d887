"""Who takes part: changes of voters, nodes that come and nodes that go (P28 to P36, A11)."""

from sim.bugs.patching import bug

TEMPER = "changing members"

STEPS_WITHOUT_WAITING = (
    "node.leading:Leading._due",
    "if self._raft.applied_index < self._raft.last_index:",
    "if False:",
)

MEMBERSHIP = (
    bug(
        "a step is proposed before an entry of the term is committed",
        "P28",
        ("consensus.leading:Leading._may_step", "self._committed_own and", "True or"),
        STEPS_WITHOUT_WAITING,
        temper=TEMPER,
    ),
    bug(
        "a step is in force once it is proposed",
        "P29",
        (
            "node.leading:Leading._propose",
            "        return not isinstance",
            "        if step is not None and not isinstance(outcome, ProposalRefused):\n"
            "            known = self._raft.configuration\n"
            "            voting = {*step.voters, *step.incoming}\n"
            "            rest = tuple(n for n in known.members if n not in voting)\n"
            "            self._raft.adopt(type(known)(step.voters, step.incoming, rest))\n"
            "        return not isinstance",
        ),
        ("consensus.core:Raft.adopt", "assert self", "assert True or self"),
        temper=TEMPER,
    ),
    bug(
        "a step is proposed while another is pending",
        "P30",
        ("consensus.leading:Leading._may_step", "and applied >= self._last_step", ""),
        STEPS_WITHOUT_WAITING,
        temper=TEMPER,
    ),
    bug(
        "a leader that votes no more leads on",
        "P31",
        (
            "consensus.leading:Leading.adopt",
            "return self._votes or self.transferee is not None or self._hand_over()",
            "return True",
        ),
        temper=TEMPER,
    ),
    bug(
        "who does not know that it votes does not answer",
        "P32",
        (
            "consensus.core:Raft._answer_vote",
            "granted = free and",
            "granted = free and self._node_id in self._configuration.voting and",
        ),
        situation="unaware voter",
    ),
    bug(
        "an installed state leaves the voters as they were",
        "P33",
        ("consensus.core:Raft.install", "self._configuration = configuration", "pass"),
        ("consensus.core:Raft.adopt", "assert self", "assert True or self"),
        temper=TEMPER,
    ),
    bug(
        "a state is installed with voters that are decided and not in force",
        "P34",
        (
            "node.execution:Execution._install",
            "self._raft.install(point, self._membership.configuration())",
            "known = self._membership.configuration()\n"
            "            from contracts.consortium import target_voters\n"
            "            voters = target_voters(self._chain.view)\n"
            "            rest = tuple(n for n in known.members if n not in voters)\n"
            "            self._raft.install(point, type(known)(voters, (), rest))",
        ),
        temper=TEMPER,
    ),
    bug(
        "a node stops while it still votes",
        "P35",
        ("node.membership:Membership._review", "node not in voting and node", "node"),
        temper=TEMPER,
    ),
    bug(
        "a node that comes back empty under its name takes part",
        "P36",
        (
            "sim.disk:Disk.go_back",
            "self.lost = self.copy()",
            "self.lost = self.copy()\n        self.watermark = self.watermark_before = NOTHING",
        ),
        ("node.standing:_is_forgotten", "if raft.term <", "return False\n    if raft.term <"),
        temper="failing disks",
    ),
    bug(
        "a node stops before the block that leaves it out is certified",
        "A11",
        (
            "node.membership:Membership.is_retired",
            "left is not None and certified_height >= left",
            "left is not None",
        ),
        situation="uncertified leave",
    ),
    bug(
        "joint voters are left before the block that entered them is certified",
        "A11",
        (
            "node.leading:Leading._due",
            "return step if self._cosigning.uncertified_change() is None else None",
            "return step",
        ),
        temper=TEMPER,
    ),
    bug(
        "a node that runs on asks no stranger for blocks",
        "P37",
        (
            "node.replica:Replica.blocks_wanted",
            "self.standing is Standing.ASKING or self._catching_up.is_leaderless",
            "self.standing is Standing.ASKING",
        ),
        situation="left alone",
    ),
)
