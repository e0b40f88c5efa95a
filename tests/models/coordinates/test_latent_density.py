"""What an encoder is shown in training."""

import torch

from neurolib.models.coordinates.latent_density import shown


def test_a_share_of_the_foci_is_shown_or_all_tables_but_one():
    torch.manual_seed(0)
    mask = torch.arange(40) < torch.tensor([[40], [40], [30]] * 300)
    table = (torch.arange(40) // 10).expand(900, -1).clone()
    table[1::3] = 0  # these studies have one table
    table[2::3, 30:] = 9  # padding says nothing
    seen = shown(mask, table, keep=(0.4, 0.6), hide_table=0.5)
    assert not seen[~mask].any()
    hidden = mask & ~seen
    lost = torch.stack([mask & (table == t) for t in range(4)], 1)  # (study, table, focus)
    whole = ((hidden[:, None] == lost).all(2) & lost.any(2)).any(1)
    several, one = torch.arange(900) % 3 != 1, torch.arange(900) % 3 == 1
    assert 0.42 < whole[several].float().mean() < 0.58
    assert not whole[one].any()
    share = (seen.sum(1) / mask.sum(1))[~whole]
    assert 0.47 < share.mean() < 0.53
    out = table[several & whole][hidden[several & whole]]
    assert set(out.tolist()) == {0, 1, 2, 3}  # each may be the one
    without = shown(mask, None, keep=(0.4, 0.6))
    assert 0.47 < (without.sum(1) / mask.sum(1)).mean() < 0.53
