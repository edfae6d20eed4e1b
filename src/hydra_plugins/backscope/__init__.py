"""Hydra's plugins: a sweeper that composes and checks a sweep at once, and a launcher that keeps its workers busy."""
