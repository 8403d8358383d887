"""The kinds of run there are."""

MODES = ("crash",)
