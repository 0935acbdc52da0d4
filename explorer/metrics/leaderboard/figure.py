"""The leaderboard as a figure: methods by budgets, for all questions or one kind of them.

Knows the table that `leaderboard.table` gives, with a column of titles; runs nothing.
"""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from explorer.metrics.leaderboard.table import KIND, MARKS


def figure(rows: pd.DataFrame) -> go.Figure:
    """Draw the shares of right answers, best on average first; a menu chooses a kind of question.

    "↑" marks what is better than its own random, "≈" what is no better, "↓" what is worse; no mark
    what is random itself. Hover tells the rest.
    """
    full = rows[rows["method"] == "full"].iloc[0]
    pruned = rows[rows["method"] != "full"]
    budgets = sorted(pruned["budget"].unique())
    pruned = pruned.assign(says=pruned.apply(_hover, axis=1))
    grids = pruned.pivot(index="title", columns="budget").reindex(pruned["title"].unique())
    best = grids["right"].mean(axis=1).sort_values(ascending=False, kind="stable").index

    def grid(column: str) -> pd.DataFrame:
        """Give one column as methods x budgets; NaN where a method can't go so low."""
        return grids[column].reindex(columns=budgets).loc[best]

    views = [("all questions", "right", full["n"])]
    views += [(c.removeprefix(KIND), c, None) for c in rows if c.startswith(KIND)]
    marks = grid("verdict").map(lambda verdict: MARKS.get(verdict, ""))
    drawn = go.Figure(
        go.Heatmap(
            z=grid("right").to_numpy(float).tolist(),
            x=[str(budget) for budget in budgets],
            y=list(best),
            text=_texts(grid("right"), marks),
            customdata=grid("says").astype(object).fillna("").to_numpy().tolist(),
            texttemplate="%{text}",
            hovertemplate="%{y}, %{x} tokens<br>%{customdata}<extra></extra>",
            colorscale="Cividis",
            zmin=0,
            zmax=1,
            colorbar={"tickformat": ".0%", "title": "right"},
            hoverongaps=False,
        )
    )
    buttons = [
        {
            "label": name,
            "method": "restyle",
            "args": [
                {
                    "z": [grid(column).to_numpy(float).tolist()],
                    "text": [_texts(grid(column), marks if column == "right" else None)],
                }
            ],
        }
        for name, column, _ in views
    ]
    drawn.update_layout(**_layout(full, len(best), buttons))
    return drawn


def _texts(shares: pd.DataFrame, marks: pd.DataFrame | None) -> list[list[str]]:
    """Write percentages, with marks behind them where there are any."""
    written = shares.map(lambda share: "" if pd.isna(share) else f"{share:.0%}")
    return (written if marks is None else written + marks).to_numpy().tolist()


def _layout(full: pd.Series, methods: int, buttons: list[dict]) -> dict:
    title = f"Right answers of {full['n']}; with all tokens {full['right']:.0%}"
    return {
        "title": {"text": title, "x": 0},
        "xaxis": {"type": "category", "title": "visual tokens, mean over layers", "side": "top"},
        "yaxis": {"autorange": "reversed", "automargin": True},
        "height": 140 + 24 * methods,
        "margin": {"l": 10, "r": 10, "t": 110, "b": 10},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"color": "#85858f"},
        "updatemenus": [
            {"buttons": buttons, "x": 1, "xanchor": "right", "y": 1, "yanchor": "bottom"}
            | {"pad": {"b": 44}}
        ],
    }


def _hover(row: pd.Series) -> str:
    lines = [
        f"right {row['right']:.1%} of {row['n']} (95 %: {row['low']:.1%} to {row['high']:.1%})",
        f"same as the full answer {row['agrees']:.1%}",
        f"full answer loses {row['log_prob_loss']:.2f} nats per token",
        f"positions: {row['positions']}",
        f"FLOPs {row['flops']:.0%}, keys and values {row['kv']:.0%} of the full run's",
    ]
    if row["verdict"]:
        lines.append(
            f"{row['gain']:+.1%} against {row['random_title']} "
            f"({row['gain_low']:+.1%} to {row['gain_high']:+.1%})"
        )
        lines.append(f"{row['verdict']}, p {row['p_holm']:.2g} after Holm")
    return "<br>".join(lines)
