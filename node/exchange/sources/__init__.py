"""A department's own systems, read under a grant: SQL databases, HTTP interfaces, CSV and Parquet.

A source is declared in its node's configuration and never on the ledger. It is read with the
granted columns only, with bound parameters, and never written. Whatever it gives back is checked
against the dataset's description before it counts.

Modules: `port` what every source does · `sql` · `http` · `files` · `registry` from configuration.
"""
