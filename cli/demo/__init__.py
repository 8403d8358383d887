"""The demonstration: five departments as five processes, real sources, real TLS, real audits.

`cluster` processes and their HTTP · `sources` the departments' data · `upstream` one of them as an
HTTP service · `story` the scenes · `summary` what a department head reads at the end.
"""
