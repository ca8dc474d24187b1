"""Searches for a placement of a workload with known costs: one file per strategy."""
