# ---
# jupyter:
#   jupytext: {formats: 'ipynb,py:percent'}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# (alignment-induction)=
# # Do induction heads appear, and what do they do?
#
# ```{glue} card
# ```
#
# A sequence that comes a second time can be continued by looking it up: find the present token where it stood before, and say what came after it.
# In transformers two heads of attention do it together {cite}`elhage2021`: one, in an earlier layer, tells each place which token stood before it, and one in a later layer looks for the place whose token before is the present one.
# The second is called an induction head {cite}`olsson2022`.
#
# The study that this part redoes {cite}`tensorscope` promises scores of such heads, of how heads compose, of the entropy of attention and of its flow.
# Its code has a matcher that finds no induction in any sequence, a threshold for composition that never fires, and an entropy that calls even attention focused.
# A head counts as strong there by one number.
#
# Nothing here was recorded from a brain; what is checked is the instrument, on networks that are wired by hand or trained while the page runs.
#
# **You will learn** (1) what the scores say of a network whose answer is known, (2) when heads form and how they feed each other, (3) what breaks when one is taken away, (4) how a network gets a perfect score without looking anything up.

# %% tags=["parameters"]
source: str = "simulated"  # the only one there is: made-up sequences
n_tokens: int = 32  # besides these, none
n_places: int = 32  # of a training sequence, after the opening token
longest: int = 16  # repeats of 3 to so many tokens, but one length
held_out: int = 12  # the length that training never sees
d: int = 32
heads: int = 4
steps: int = 300
one_steps: int = 140  # of the network that sees one length alone
every: int = 25  # steps between checkpoints
n_test: int = 64  # sequences
bound: float = 0.4  # of a strong head
threshold: float = 0.7  # of composition, in the source
n_seeds: int = 2
seed: int = 0

# %% tags=["remove-stderr"]
from copy import deepcopy
from types import SimpleNamespace

import numpy as np
import torch
from IPython.display import HTML, display
from torch.nn.functional import cross_entropy

from neurolib import report
from neurolib.interpret.activations import Patch, patch, record
from neurolib.metrics.attention_patterns import (
    attention_entropy,
    attention_patterns,
    repeat_scores,
    rollout,
)
from neurolib.metrics.head_composition import (
    KINDS,
    composition,
    copying_score,
)
from neurolib.metrics.intervals import (
    bootstrap_interval,
    hierarchical_interval,
)
from neurolib.models.attention_only import (
    AttentionOnlyConfig,
    hand_built_induction,
)
from neurolib.viz import heads as pictures
from neurolib.viz import scores
from neurolib.viz.attention_steps import attention_steps
from neurolib.viz.tables import table

report.use(SimpleNamespace(name="repeated-sequences", simulated=True))

# %% [markdown]
# ## Sequences that repeat
#
# An opening token, then tokens in random order that differ from each other, again and again.
# The length of what repeats differs between sequences, so the place alone does not say what comes next; the length {glue:text}`held_out` is kept for the test.
# Scores are taken on a sequence that comes exactly twice.

# %%
LENGTHS = [n for n in range(3, longest + 1) if n != held_out]


def repeated(n, lengths, draw):
    """Sequences ``(n, 1 + n_places)``, each with its own length."""
    order = torch.rand(n, n_tokens - 1, generator=draw).argsort(1) + 1
    pick = torch.randint(len(lengths), (n, 1), generator=draw)
    at = torch.arange(n_places) % torch.tensor(lengths)[pick]
    opening = torch.zeros(n, 1, dtype=torch.long)
    return torch.cat([opening, order.gather(1, at)], dim=1)


def twice(length, number=1):
    """Test sequences ``(n_test, 1 + 2 * length)``."""
    draw = torch.Generator().manual_seed(1000 + number)
    return repeated(n_test, [length], draw)[:, : 2 * length + 1]


# %%
def losses(model, tokens):
    """Loss of each sequence on its second half, where it can be known."""
    first = len(tokens[0]) // 2 + 1
    with torch.no_grad():
        logits = model(tokens)[:, first:-1].transpose(1, 2)
    wanted = tokens[:, first + 1 :]
    return cross_entropy(logits, wanted, reduction="none").mean(1).numpy()


def looks(model, tokens):
    """Mean attention ``(layer, head, query, key)``."""
    with torch.no_grad():
        return model.attention(tokens).mean(0).double().numpy()


def scored(model, length=held_out, number=1):
    """Scores of the heads, ``(layer, head)`` each."""
    tokens = twice(length, number)
    return repeat_scores(looks(model, tokens), length, start=1)


# %% [markdown]
# ## The known answer
#
# A network of two layers wired by hand: its residual stream holds the place, the token and the token before as three codes.
# Head 1 of the first layer looks one place back and writes the third code, head 1 of the second looks where the third code is the present token.
# The other heads look everywhere alike.

# %%
built = hand_built_induction(n_tokens, n_places + 1)
known = scored(built)
report.put("known_induction", known.induction[1, 0])
report.put("known_previous", known.previous[0, 0])
report.put("known_even", known.induction[1, 1])
report.put("chance", known.chance)
report.put("held_out", held_out)
report.put("known_loss", losses(built, twice(held_out)).mean())


# %%
def tables(model):
    """Embedding and unembedding, as `copying_score` takes them."""
    with torch.no_grad():
        return model.embed.weight.numpy(), model.unembed.weight.T.numpy()


second = built.head_weights(1)
copies = copying_score(second.value[0], second.out[0], *tables(built))
fed = composition(built.head_weights(0), second)
report.put("known_copying", copies)
report.put("known_key", fed.scores["key"][0, 0])
report.put("known_query", fed.scores["query"][0, 0])
report.put("known_random", fed.chance)
report.put("threshold", threshold)

# %% [markdown]
# The second head has an induction score of {glue:text}`known_induction:.3f`, the first a previous-token score of {glue:text}`known_previous:.3f`, and heads that look evenly {glue:text}`known_even:.3f`, which is what chance gives ({glue:text}`chance:.3f`).
# The copying score is {glue:text}`known_copying:.2f`.
#
# The first head feeds the *keys* of the second: their composition score is {glue:text}`known_key:.3f`, that of queries {glue:text}`known_query:.3f`, of random matrices {glue:text}`known_random:.3f`.
# So the threshold of {glue:text}`threshold` is not reached even where one head was built to feed the other and does nothing else.
# A composition score is small because a head carries many directions and the next one needs but some; it means something beside chance alone.

# %% [markdown]
# ## What the source got wrong
#
# Its matcher walks along the sequence and keeps where each token was last.
# It writes the place of the present token first and looks up the token before it afterwards; that token was written one step ago, so it is always found one place back, which the rule against neighbours throws away.
# The same walk with the look-up first finds everything.
# Both walks are written anew here.


# %%
def found_as_in_the_source(tokens):
    """Matches of a walk that writes before it looks up."""
    last, found = {}, 0
    for place in range(1, len(tokens)):
        last[tokens[place]] = place
        before = last.get(tokens[place - 1])
        found += before is not None and place - before > 1
    return found


def found_here(tokens):
    """Matches of a walk that looks up before it writes."""
    last, found = {}, 0
    for place, token in enumerate(tokens):
        found += token in last and place - last[token] > 1
        last[token] = place
    return found


# %%
walks = twice(held_out).tolist()
report.put("theirs", sum(found_as_in_the_source(walk) for walk in walks))
ours = sum(found_here(walk) for walk in walks)
report.put("ours", ours)
report.put("there", n_test * held_out)

n = 2 * held_out + 1
even = np.tril(np.ones((n, n))) / np.arange(1, n + 1)[:, None]
logs = np.log(even, out=np.zeros_like(even), where=even > 0)
by_all = -(even * logs).sum(1)[1:].mean() / np.log(n)
report.put("entropy_all", by_all)
report.put("entropy_allowed", attention_entropy(even))
raw = np.linalg.matrix_power(0.5 * np.eye(n) + 0.5 * even, 12)
report.put("rollout_first", raw[-1, 0])
report.put("rollout_even", 1 / n)
flow = rollout([even] * 12)

# %% [markdown]
# | | source | here |
# |---|---|---|
# | repeats found, of {glue:text}`there` | {glue:text}`theirs` | {glue:text}`ours` |
# | entropy of even causal attention, as a share of the most possible | {glue:text}`entropy_all:.2f`, over the logarithm of all places | {glue:text}`entropy_allowed:.2f`, over that of the keys a row may see |
# | rollout of twelve layers of even attention, from the last place to the first | {glue:text}`rollout_first:.2f`, which looks like a finding ({glue:text}`rollout_even:.2f` is an even share) | zero: the map of even attention is taken away |
#
# ## Learning them
#
# Small networks, two layers of attention without perceptrons, are trained to say the next token.


# %%
def trained(seed, lengths, steps):
    """Checkpoints of one network, before training and every few steps."""
    torch.manual_seed(seed)
    draw = torch.Generator().manual_seed(seed)
    cfg = AttentionOnlyConfig(d=d, heads=heads)
    model, kept = cfg.build(n_tokens, n_places + 1), []
    adam = torch.optim.AdamW(model.parameters(), betas=(0.9, 0.98), fused=True)
    for step in range(steps + 1):
        if step % every == 0 or step == steps:
            kept.append(deepcopy(model).eval().requires_grad_(False))
        adam.param_groups[0]["lr"] = 5e-3 * min(1, (step + 1) / 20)
        one_step(model, adam, repeated(32, lengths, draw))
    return kept


def one_step(model, adam, tokens):
    """Lower the loss of the next token, everywhere in the sequence."""
    logits = model(tokens)[:, :-1].flatten(0, 1)
    loss = cross_entropy(logits, tokens[:, 1:].flatten())
    adam.zero_grad()
    loss.backward()
    adam.step()


seeds = range(seed, seed + n_seeds)
runs = [trained(number, LENGTHS, steps) for number in seeds]

# %% [markdown]
# A strong simple baseline beside chance: who only knows which tokens came, and which of them came again, guesses among those that are left.

# %%
at = [*range(0, steps, every), steps]
left = float(np.mean(np.log(np.arange(1, held_out))))
test = twice(held_out)
curve = np.array([[losses(m, test).mean() for m in run] for run in runs])
over = [[scored(model) for model in run] for run in runs]
induction = np.array([[found.induction for found in run] for run in over])
previous = np.array([[found.previous for found in run] for run in over])
even_previous = float(attention_patterns(even).chance["previous"])


def lines(values, layer):
    """One line per head and seed, ``(line, checkpoint)``."""
    return values[:, :, layer].transpose(0, 2, 1).reshape(-1, len(at))


# %% tags=["hide-input", "remove-output"]
chart = pictures.formation(
    at,
    {
        "loss, repeated half": ({"network": curve}, np.log(n_tokens)),
        "previous-token score": (
            {f"layer {k + 1}": lines(previous, k) for k in (0, 1)},
            even_previous,
        ),
        "induction score": (
            {f"layer {k + 1}": lines(induction, k) for k in (0, 1)},
            known.chance,
        ),
    },
    True,
)
report.figure("formation", chart)
report.put("n_seeds", n_seeds)
report.put("loss", float(curve[:, -1].mean()))
report.put("left", left)
report.put("uniform", float(np.log(n_tokens)))
best = induction[:, -1, 1].max(-1)
report.put("induction", float(best.min()))
report.put("induction_before", float(induction[:, 0].max()))
report.put("weakest", float(induction[:, -1, 1].min()))
first_looks = previous[:, -1, 0].max(-1)
report.put("previous", float(first_looks.min()))
report.put("previous_chance", even_previous)
first_half = np.arange(1, held_out + 1)
ends = np.array([looks(run[-1], test)[0] for run in runs])
in_first = ends[:, :, first_half, first_half - 1].mean(-1).max(-1)
report.put("previous_first", float(in_first.min()))

# %% [markdown]
# ```{glue:figure} formation
# :name: fig-alignment-induction-formation
# :alt: Loss on the repeated half, previous-token scores and induction scores of all heads over training
#
# **The heads appear together, and the loss falls as they do.** At the length that training never saw. One line per head and network ({glue:text}`n_seeds` networks); chance is a guess among all tokens, or even attention.
# ```
#
# The loss on the repeated half ends at {glue:text}`loss:.2f`, against {glue:text}`left:.2f` for who knows the tokens that are left and {glue:text}`uniform:.2f` for a guess among all.
# In the network that has less of it, the best head of the second layer has an induction score of {glue:text}`induction:.2f`; before training no head has more than {glue:text}`induction_before:.2f`.
# The best previous-token head of the first layer has {glue:text}`previous:.2f` or more, against {glue:text}`previous_chance:.2f` for even attention.
# It looks back where a token comes first ({glue:text}`previous_first:.2f` there) and not where it comes again, since nobody will look it up there.
#
# ## See it form

# %% tags=["hide-input"]
maps = np.array([looks(model, test) for model in runs[0]])
attention_steps(
    "induction-steps",
    [
        f"step {step}: loss {loss:.2f}"
        for step, loss in zip(at, curve[0], strict=True)
    ],
    maps,
    scores={"prev": previous[0], "ind": induction[0]},
    back=held_out - 1,
    simulated=True,
)

# %% [markdown]
# Move the slider through training.
# Rows are places that look, columns are places looked at, from the upper left; colour is weight, the mean over test sequences.
# Induction is the stripe between the dashed lines, in the lower half of a map; looking at the token before is the stripe just below the diagonal, and it ends where the sequence begins again.
#
# ## Which head feeds which?


# %%
def fed_by_first(model):
    """Composition of the first layer into the second."""
    return composition(model.head_weights(0), model.head_weights(1))


feeds = {
    "before training": [fed_by_first(run[0]) for run in runs],
    "after training": [fed_by_first(run[-1]) for run in runs],
}
kinds = {
    when: {kind: [part.scores[kind] for part in parts] for kind in KINDS}
    for when, parts in feeds.items()
}
random = feeds["after training"][0].chance

# %% tags=["hide-input", "remove-output"]
chart = pictures.compositions(kinds, random, threshold, True)
report.figure("composition", chart)
after = kinds["after training"]
report.put("random", random)
report.put("before_key", float(np.mean(kinds["before training"]["key"])))
for kind in KINDS:
    report.put(f"after_{kind}", float(np.mean(after[kind])))
highest = max(np.max(after[kind]) for kind in KINDS)
report.put("highest", float(highest))
key_means = np.mean(after["key"], axis=(1, 2))

# %% [markdown]
# ```{glue:figure} composition
# :name: fig-alignment-induction-composition
# :alt: Composition scores of all pairs of heads before and after training, with chance and the threshold of the source
#
# **Every pair of heads, one of each layer.** Dashed: random matrices. Dotted: the threshold of the source.
# ```
#
# Before training the keys of the second layer have a mean score of {glue:text}`before_key:.3f`, which is what random matrices of this width have ({glue:text}`random:.3f`); afterwards {glue:text}`after_key:.3f`, queries {glue:text}`after_query:.3f` and values {glue:text}`after_value:.3f`.
# The highest of all is {glue:text}`highest:.2f`.
# The norm before the second layer is folded into its matrices as far as it is linear, its centring and its gain; the division by the spread of each token, its offset and all biases are left out.
#
# ## Where do they look, and what do they copy?


# %%
def head_rows(model, number):
    """Scores of every head of one network."""
    seen, rows = attention_patterns(looks(model, test)).values, []
    for layer, head in np.ndindex(2, heads):
        part = model.head_weights(layer)
        one = copying_score(part.value[head], part.out[head], *tables(model))
        names = "first", "entropy", "entropy_elsewhere"
        where = [seen[name][layer, head] for name in names]
        found = [previous[number, -1], induction[number, -1]]
        rows.append(
            [layer, head, *[s[layer, head] for s in found], *where, one]
        )
    return rows


rows = [head_rows(run[-1], number) for number, run in enumerate(runs)]

# %% tags=["hide-input"]
columns = ["head", "previous", "induction", "on first", "entropy"]
columns += ["entropy, first left out", "copying"]
shown = [
    [f"{layer + 1}.{head + 1}", *(f"{value:.2f}" for value in values)]
    for layer, head, *values in rows[0]
]
display(HTML(table(columns, shown)))

# %%
flat = np.array(rows)  # (seed, head, column)
copying = flat[:, heads:, -1]
report.put("copying", float(copying.mean()))
report.put("sink", float(flat[:, :, 4].max()))
places = np.arange(held_out + 1, n)
flows = [rollout(looks(run[-1], test).mean(1)) for run in runs]
null = [rollout(looks(run[0], test).mean(1)) for run in runs]
back = held_out - 1
report.put("flow", float(np.mean([f[places, places - back] for f in flows])))
report.put(
    "flow_null", float(np.mean([f[places, places - back] for f in null]))
)

# %% [markdown]
# The table is of the first network.
# Entropy is a share of the most that the allowed keys permit; the last but one column leaves the first place out, where heads put weight that has nothing to say: at most {glue:text}`sink:.2f` of it here.
# Heads of the second layer copy what they look at, with a mean copying score of {glue:text}`copying:.2f`.
# Rollout, less that of even attention, puts {glue:text}`flow:+.2f` on the token that is to be said, and {glue:text}`flow_null:+.2f` before training.
#
# ## Take a head away
#
# A score says where a head looks, not whether it matters.
# What a head gives is replaced by its mean over sequences, place by place, and the loss on the repeated half measured again, sequence by sequence.
# The best head of each kind is chosen on other sequences of another length.


# %%
def added(model, layer, gone, tokens):
    """Loss per sequence added by heads of a layer at their mean."""
    site = f"block.{layer}.heads"
    mean = record(model, tokens, [site])[site].mean(0)[:, gone]
    whole = losses(model, tokens)
    with patch(model, [Patch(site, mean, {"head": gone})]):
        return losses(model, tokens) - whole


def chosen(model):
    """Heads by what they do, on sequences that are not those of the test."""
    found, every_head = scored(model, held_out - 3, 2), [*range(heads)]
    ranked = found.induction[1].argsort()
    return {
        "best previous-token head": (0, [int(found.previous[0].argmax())]),
        "first layer, all heads": (0, every_head),
        "best induction head": (1, [int(ranked[-1])]),
        "two best induction heads": (1, ranked[-2:].tolist()),
        "second layer, all heads": (1, every_head),
    }


# %%
last = [run[-1] for run in runs]
by_role = [
    {role: added(m, *which, test) for role, which in chosen(m).items()}
    for m in last
]
effects = {
    role: hierarchical_interval([part[role] for part in by_role])
    for role in by_role[0]
}
report.put("bound", bound)


def strong(model, length):
    """Which heads are above the bound and, taken away, missed."""
    tokens, is_strong = twice(length), np.zeros((2, heads), bool)
    score = scored(model, length).induction
    for layer, head in np.argwhere(score > bound):
        cost = added(model, int(layer), [int(head)], tokens)
        is_strong[layer, head] = bootstrap_interval(cost).low > 0
    return is_strong


strong_heads = [strong(model, held_out) for model in last]
n_above = int((induction[:, -1] > bound).sum())

# %% tags=["hide-input", "remove-output"]
chart = scores.interval_chart(
    {"heads taken away": {r: tuple(e)[:3] for r, e in effects.items()}},
    "loss added on the repeated half (nats)",
    True,
)
report.figure("ablation", chart)
one, two, layer = (effects[role] for role in [*effects][2:])
report.put("one", f"{one:.3f}")
report.put("two", f"{two:.2f}")
report.put("layer", f"{layer:.2f}")
report.put("looks_back", f"{effects['best previous-token head']:.2f}")
report.put("n_strong", int(np.sum(strong_heads)))
report.put("n_above", n_above)
report.put("n_heads", 2 * heads * n_seeds)

# %% [markdown]
# ```{glue:figure} ablation
# :name: fig-alignment-induction-ablation
# :alt: Loss added on the repeated half when heads are replaced by their mean
#
# **One head is hardly missed, a layer is everything.** Intervals are over networks and sequences, crossed.
# ```
#
# Without its best induction head the loss rises by {glue:text}`one` nats, without the two best by {glue:text}`two`, without the second layer by {glue:text}`layer`, which makes it worse than a guess among all tokens.
# Without its best previous-token head it rises by {glue:text}`looks_back`.
# The heads of the second layer all do the same, so the others stand in for one that is missing: the effect of one head understates what such heads do.
# Two networks say little about others: the intervals cover these two and their like.
#
# A head is called strong here if its induction score is above {glue:text}`bound` *and* the interval of the loss that its absence adds, over sequences, lies above zero.
# Of {glue:text}`n_heads` heads {glue:text}`n_above` are above the bound, and {glue:text}`n_strong` are strong.
#
# ## A perfect score without looking anything up
#
# One more network is trained on repeats of a single length.
# It can learn that the answer always stands as many places back, whatever the tokens are.

# %%
singles = [trained(number, [held_out], one_steps)[-1] for number in seeds]
lengths = [6, 9, held_out, 15]


def by_length(models):
    """Best induction score at each length, mean over networks."""
    found = [
        [scored(model, length).induction.max() for length in lengths]
        for model in models
    ]
    return np.mean(found, axis=0)


sweep = {
    "wired by hand": by_length([built]),
    "many lengths": by_length(last),
    "one length": by_length(singles),
    "even attention": [scored(built, length).chance for length in lengths],
}

# %% tags=["hide-input", "remove-output"]
chart = scores.sweep(
    lengths,
    sweep,
    "length of what is repeated (tokens)",
    "best induction score",
    True,
)
report.figure("lengths", chart)
own, elsewhere = lengths.index(held_out), [0, 1, 3]
report.put("single_own", float(sweep["one length"][own]))
report.put("single_else", float(sweep["one length"][elsewhere].max()))
report.put("many_least", float(sweep["many lengths"].min()))
loss_own = np.mean([losses(m, test).mean() for m in singles])
loss_else = np.mean([losses(m, twice(9)).mean() for m in singles])
report.put("single_loss", float(loss_own))
report.put("single_loss_else", float(loss_else))
fooled = [strong(model, held_out) for model in singles]
fooled_else = [strong(model, 9) for model in singles]
report.put("fooled", int(np.sum(fooled)))
report.put("fooled_first", int(np.sum(fooled, axis=(0, 2))[0]))

# %% [markdown]
# ```{glue:figure} lengths
# :name: fig-alignment-induction-lengths
# :alt: Best induction score over the length of the repeat, for networks trained on many lengths, on one, and wired by hand
#
# **The score at one length does not tell looking up from counting.** Means of {glue:text}`n_seeds` networks.
# ```
#
# At its own length its best head scores {glue:text}`single_own:.2f` and its loss is {glue:text}`single_loss:.2f`; {glue:text}`fooled` of its heads pass the test for a strong head, ablation included, {glue:text}`fooled_first` of them in the first layer, which cannot know what stood before another place.
# At other lengths the score is at most {glue:text}`single_else:.2f` and the loss {glue:text}`single_loss_else:.1f`, worse than a guess among all tokens.
# The networks that saw many lengths have {glue:text}`many_least:.2f` or more at every length asked.
# So the test of a head is made at a length that training did not have.

# %% [markdown]
# ## Verdicts

# %% tags=["nbval-check-output"]
report.claim(
    "wired by hand, the score is one, and even attention gives chance",
    abs(known.induction[1, 0] - 1) < 1e-3
    and abs(known.induction[1, 1] - known.chance) < 1e-6,
)
report.claim(
    "the matcher of the source finds repeats",
    sum(found_as_in_the_source(walk) for walk in walks) > 0,
)
report.claim(
    "looking up before writing finds every repeat",
    ours == n_test * held_out,
)
report.claim(
    "even attention has the highest entropy, and no rollout beyond its own",
    abs(attention_entropy(even) - 1) < 1e-9 and abs(flow).max() < 1e-9,
)
report.claim(
    "after training every network has a head of the second layer above the "
    "bound at the length that it never saw; before training none has",
    bool(best.min() > bound and induction[:, 0].max() < bound),
)
report.claim(
    "the loss on the repeat is below that of a guess among tokens left",
    bool(curve[:, -1].max() < left),
)
report.claim(
    "every network has a previous-token head in its first layer, "
    "at more than twice chance",
    bool(first_looks.min() > 2 * even_previous),
)
report.claim(
    "keys of the second layer are fed above random matrices "
    "in every network, on average over pairs",
    bool(key_means.min() > 1.1 * random),
)
report.claim(
    "some pair of heads reaches the threshold of the source",
    bool(highest >= threshold),
)

# %% tags=["nbval-check-output"]
report.claim("the best induction head is missed", one.low > 0)
report.claim(
    "one head is missed less than half as much as its layer",
    one.estimate < layer.estimate / 2,
)
report.claim(
    "trained on one length, a network has strong heads at that length",
    all(found.any() for found in fooled),
)
report.claim(
    "trained on one length, it has strong heads at another",
    any(found.any() for found in fooled_else),
)

# %% [markdown]
# ## What we learned
#
# - Induction heads form within a few hundred steps, a previous-token head in the layer below with them, and the loss on repeats falls at the same time.
# - Scores need a chance and a known answer: of the source's three recipes two can never say yes, and one never says that a head looks everywhere.
# - A strong head is one that scores and is missed, at a length that training did not have. A network that counts places passes every test at its own length.
# - Heads that do the same stand in for each other, so the absence of one says little against it.
# - **Not shown:** that heads of large language models do no more than this, or anything about brains: there is no recording on this page.
# - **What would change our mind:** a network that continues repeats of any length with no head above the bound. Longer sequences and wider networks are where we would look.
#
# **Try it:** `d=64` and a narrow choice of lengths; `neurolib.alignment.huggingface` takes the attention weights of a model of your own.
# **Sources:** {cite}`tensorscope,elhage2021,olsson2022,abnar2020`.

# %% tags=["hide-input"]
report.card(
    answer=f"They do. In {n_seeds} small networks the best head of the "
    f"second layer ends with an induction score of {best.min():.2f} or more "
    f"(chance {known.chance:.2f}) on repeats of a length never trained on. "
    "Without the second layer the ability is gone; one head alone is hardly "
    "missed, as others do the same.",
    needs="what attention is.",
)
report.stamp()
