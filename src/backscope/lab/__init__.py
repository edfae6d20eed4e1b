"""The lab book's engine: an ablation's claims, evaluated against its tracked runs.

An ablation is a sweep (conf/experiment/NAME.yaml) and a folder (experiments/NAME/) whose claims.yaml says what the
sweep must show: which runs, what is measured there (`measures`), and the band it must be in or the prediction of
theory (`predictions`) that it must meet. `python -m backscope.lab NAME` sweeps, evaluates and writes the folder's
README.
"""
