"""Tables for pages: rows of verdicts in, HTML out."""

import html
from collections.abc import Sequence


def table(columns: Sequence[str], rows: Sequence[Sequence]) -> str:
    """A plain table, which scrolls on a phone; cells other than text are set as numbers.

    Examples
    --------
    >>> "<td>a &amp; b</td>" in table(["name", "n"], [["a & b", 3]])
    True
    """
    head = "".join(f"<th>{html.escape(column)}</th>" for column in columns)
    body = "".join(
        "<tr>"
        + "".join(
            f"<td>{html.escape(cell)}</td>" if isinstance(cell, str) else f'<td class="number">{cell:g}</td>'
            for cell in row
        )
        + "</tr>"
        for row in rows
    )
    return f'<div class="verdicts"><table><tr>{head}</tr>{body}</table></div>'


def outcome(row: dict) -> str:
    """Whether a verdict is a ``"miss"``, ``"open"`` (not comparable) or ``"kept"``."""
    if row["verdict"].startswith("not comparable"):
        return "open"
    return "kept" if row["verdict"].startswith(("within", "holds")) else "miss"


def verdict_table(title: str, rows: list[dict]) -> str:
    """One table of verdicts, misses first; a word says the verdict, not a colour.

    Parameters
    ----------
    title : str
    rows : list of dict
        Checks as :mod:`neurolib.report` writes them, with ``page``, ``variant`` and ``profile``.
    """
    if not rows:
        return f"<h3>{html.escape(title)}</h3><p>None yet.</p>"

    def misses_first(row):
        return (("miss", "open", "kept").index(outcome(row)), row["simulated"], row["page"])

    claims = all(row["kind"] == "claim" for row in rows)
    columns = ("Page", "What", "Verdict") if claims else ("Page", "What", "Reference", "Ours", "Verdict")
    head = "".join(f"<th>{column}</th>" for column in columns)
    body = "".join(_row(row, claims) for row in sorted(rows, key=misses_first))
    return f'<h3>{html.escape(title)}</h3><div class="verdicts"><table><tr>{head}</tr>{body}</table></div>'


def _row(row: dict, claims: bool) -> str:
    page = row["page"] + (f" ({row['variant']})" if row["variant"] else "") + f", {row['profile']}"
    cells = [page, row["label"]]
    if not claims:
        source = f" [{row['citation']}]" if row["kind"] == "published" else ""
        cells += [f"{row['reference']:g} ± {row['tolerance']:g}{source}", f"{row['ours']:.3f}"]
    marked = row["simulated"] and "SIMULATED" not in row["verdict"]
    cells.append(row["verdict"] + (" (SIMULATED)" if marked else ""))
    return "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells) + "</tr>"
