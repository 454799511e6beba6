"""The parts of the bench; `bench.py` puts them together."""
