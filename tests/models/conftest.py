"""What the tests of several encoders ask in the same words."""

import numpy as np
import pytest
import torch


def assert_streams_alike(encoder, counts, sizes=(3, 1, 20, 16), compare_states=False):
    """An encoder gives the same whole, in chunks of ``sizes`` with the state carried, and bin by bin."""
    whole, last = encoder(counts)
    for lengths in (list(sizes), [1] * counts.shape[1]):
        state, parts = None, []
        for chunk in counts.split(lengths, dim=1):
            part, state = encoder(chunk, state)
            parts.append(part)
        np.testing.assert_allclose(torch.cat(parts, dim=1), whole, rtol=0, atol=1e-10)
        if compare_states:
            for mine, theirs in zip(state, last, strict=True):
                np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-10)


@pytest.fixture(name="assert_streams_alike")
def _assert_streams_alike():
    """:func:`assert_streams_alike`."""
    return assert_streams_alike
