"""Proofs that a list of regions is right: made once by `prove`, checked by anyone with `check`."""
