"""Tables for pages: rows of verdicts in, HTML out."""

import html

HOLDS = ("within", "holds")


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

    def missed(row):
        return (row["verdict"].startswith(HOLDS), row["simulated"], row["page"])

    head = "<tr><th>Page</th><th>What</th><th>Reference</th><th>Ours</th><th>Verdict</th></tr>"
    body = "".join(_row(row) for row in sorted(rows, key=missed))
    return f'<h3>{html.escape(title)}</h3><div class="verdicts"><table>{head}{body}</table></div>'


def _row(row: dict) -> str:
    page = row["page"] + (f" ({row['variant']})" if row["variant"] else "") + f", {row['profile']}"
    reference = ours = "–"
    if "ours" in row:
        reference, ours = f"{row['reference']:g} ± {row['tolerance']:g}", f"{row['ours']:.3f}"
    if row["kind"] == "published":
        reference += f" [{row['citation']}]"
    verdict = row["verdict"] + (
        " (SIMULATED)" if row["simulated"] and "SIMULATED" not in row["verdict"] else ""
    )
    cells = "".join(f"<td>{html.escape(text)}</td>" for text in (page, row["label"], reference))
    return f'<tr>{cells}<td class="number">{ours}</td><td>{html.escape(verdict)}</td></tr>'
