# ---
# jupyter:
#   jupytext: {formats: 'ipynb,py:percent'}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# (scoreboard)=
# # What was published, what we get
#
# ```{glue} card
# ```
#
# Every verdict of every page, misses first.
# Numbers that others published stand beside ours with the tolerance that we think fair; *expected* values are our own earlier results, which guard against regression.
# Verdicts on simulated data say nothing about brains, and are marked.

# %% tags=["parameters"]
results: str = "book/results"  # folder of the results files to read

# %% tags=["hide-input"]
from IPython.display import HTML

from neurolib import report
from neurolib.viz.tables import outcome, verdict_table

found = [
    result
    for result in report.results(results)
    if result["page"] != "scoreboard"
]
rows = [
    check
    | {
        "page": result["page"],
        "variant": result["variant"],
        "profile": result["stamp"]["profile"],
    }
    for result in found
    for check in result["checks"]
]
kinds = [
    ("published", "Published and ours"),
    ("claim", "Claims"),
    ("expected", "Our own earlier values"),
]
report.put("n_pages", len({row["page"] for row in rows}))
report.put("n_published", sum(row["kind"] == "published" for row in rows))

# %% tags=["hide-input"]
HTML(
    "".join(
        verdict_table(title, [row for row in rows if row["kind"] == kind])
        for kind, title in kinds
    )
)

# %% [markdown]
# ## Every page in one line

# %% tags=["nbval-check-output"]
for result in found:
    outcomes = [outcome(check) for check in result["checks"]]
    print(
        result["page"],
        result["variant"] or "-",
        result["stamp"]["profile"],
        f"{outcomes.count('kept')} kept, {outcomes.count('miss')} missed, "
        f"{outcomes.count('open')} open",
    )

# %% tags=["hide-input"]
outcomes = [outcome(row) for row in rows]
report.card(
    answer=f"{outcomes.count('kept')} verdicts hold and "
    f"{outcomes.count('miss')} do not, over "
    f"{len({row['page'] for row in rows})} pages; the misses stand first. "
    f"{outcomes.count('open')} are open, because the data were simulated."
)
report.stamp()
