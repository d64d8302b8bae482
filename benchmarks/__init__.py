"""What it costs: each module is a program; ``benchmarks.compare`` is the one that ``make bench`` runs."""
