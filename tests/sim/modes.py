"""The kinds of run there are: where everybody is honest and things break, and where some lie."""

MODES = ("crash", "byzantine")
