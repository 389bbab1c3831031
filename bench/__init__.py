"""Benchmarks (``make bench``): what our layers cost, as ratios measured in one run.

Ratios, because times differ from machine to machine: each of ours is measured in turn with
what it is compared to, so that whatever else the machine does slows down both.
"""
