"""What clients saw of a real cluster under faults, written down and judged.

A history is a file of JSON lines, one operation each, in the order in which they ended:

    {"client", "op", "args", "start_ns", "end_ns", "result"}

Times are of one monotonic clock. `result` is `{"ok": …}`, `{"refused": code}` (certainly without
effect) or `{"unknown": why}`: the client gave up, and the operation may take effect at any time
after its start, once, or never.

| op          | args           | ok               | what it is on the ledger                      |
|-------------|----------------|------------------|-----------------------------------------------|
| `write`     | `key`, `value` | leaf index       | a dataset's title, published or changed       |
| `read`      | `key`          | the value        | the dataset, asked of any node, consistently  |
| `append`    | `value`        | leaf index       | a dataset published, the value as its name    |
| `read-list` | `from`         | `values`, `more` | the datasets published, in the ledger's order |

| question                                      | module       |
|-----------------------------------------------|--------------|
| what is an operation, on paper?               | `operations` |
| is every register linearizable?               | `registers`  |
| is the list one list, each append in it once? | `appends`    |
| who asks?                                     | `clients`    |
| what goes wrong meanwhile?                    | `trouble`    |
| how does a whole run go?                      | `recording`  |
"""
