"""Where an auditor's bytes come from, read only.

`directory` a stopped node's data directory or a copy of it · `leveldb_files` that directory's files
against their own checksums · `live` a running node over HTTP.
"""
