"""Analysis: a run's verdict, the shapes of its trace, and the figures drawn from them."""
