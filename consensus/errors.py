"""What can go wrong in consensus: misuse is a ValueError, bad input is ignored or evidence.

A node that reads a broken store cannot go on: `LogBroken` ends it.
"""


class LogBroken(Exception):
    """The storage does not give back the log that was written. The node must stop.

    A node that forgot what it promised is a lying node; it may come back under a new key only.
    """
