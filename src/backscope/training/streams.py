"""Random streams: what is random in a run draws from streams that are independent of each other.

So a change of one (another batch order) leaves the others (the initial weights) as they are, and measuring draws from
none. Replica r of a run with seed s has the streams of the run with seed s + r.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Streams:
    """The generators of one seed: children of one SeedSequence, in the order of the fields."""

    init: np.random.Generator
    data: np.random.Generator
    batches: np.random.Generator
    dropout: np.random.Generator

    @classmethod
    def of(cls, seed: int) -> "Streams":
        """The streams of a seed.

        >>> Streams.of(3).init.random() == Streams.of(3).init.random() != Streams.of(3).data.random()
        True
        """
        return cls(*(np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(4)))
