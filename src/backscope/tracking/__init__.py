"""Tracking: one record of training becomes one MLflow run, and is read back.

`store` prepares the store, `recorder` writes runs, `trace` is the table of every measurement, `provenance` says
which code and machine made the numbers, `reader` gives runs and traces as data frames. Nothing here imports
MLflow before it is used: that alone takes a second.
"""
