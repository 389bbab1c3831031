"""Benchmarks (``make bench``): what our layers cost, as ratios measured in one run.

Times differ from machine to machine, so ratios are shown. Our code and the code it is compared to are
measured in turns, so that other work of the machine slows down both.
"""
