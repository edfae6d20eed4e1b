"""A sweep as one self-contained HTML file, for the browser, for paper, and for MLflow's viewer of artifacts."""
