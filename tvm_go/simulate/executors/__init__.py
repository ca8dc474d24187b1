"""Executors: how long a placed graph takes, and what memory it needs, under one rule of execution each."""
