"""`concordat`: for people. Everything over HTTP with a node, and everything on ledger files.

    main        the commands        client   HTTP with a node, and its problems
    show        tables and JSON     consortium, dataset, grant, exchange, node, audit   commands
    demo/       the demonstration

Exit codes: 0 done, and for `audit verify` everything holds · 1 refused, failed or found something ·
2 wrong usage · 3 the node cannot be reached.
"""
