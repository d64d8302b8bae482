"""
Many sessions under one manager for minutes of trouble: is anything lost, does anything grow, is every promise kept?

The fake server is a process of its own, on a loopback socket, and judges the requests of each session as they end. The
manager is another, with its store on the disk. ``python -m benchmarks.soak`` starts both, and says what was found.
"""
