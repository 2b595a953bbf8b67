"""Measures the pipeline beside a per-record reference, on one machine in one run."""
