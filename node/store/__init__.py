"""The node's durable store: LevelDB, one synced batch a turn, and a watermark outside of it.

`leveldb` keeps the data. `torn_end` cuts what a power loss left of a write that was under way.
`watermark` keeps, beside the keys, what the node has promised, so that a store that went backwards
(a restored backup, a lost disk) is noticed before the node speaks again.
"""
