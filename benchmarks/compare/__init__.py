"""
The whole library beside what one would write without it, on the same loopback server.

Each row (``rows``) is a program in a process of its own, with a server (``server``) in another; every server is the
same program, and rows take turns, so that whatever else the machine does strikes all of them. ``measure`` says what is
done with them, ``ratios`` what is compared, ``report`` how it is written down.
"""
