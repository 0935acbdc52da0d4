"""What the leaderboard's table says, in sentences and as Markdown: written from it, never by hand.

Knows the table that `leaderboard.table` gives, with titles; not how it was measured.
"""

from __future__ import annotations

import pandas as pd

from explorer.metrics.leaderboard.table import BETTER, EQUAL, KIND, MARKS, WORSE

PLACES = [f"{KIND}{kind}" for kind in ("at", "rel", "where")]  # answered by where a thing stands


def findings(rows: pd.DataFrame) -> list[str]:
    """Say how much was asked, who beats its own random at which budget, and who never does."""
    full, pruned = rows[rows["method"] == "full"].iloc[0], rows[rows["verdict"] != ""]
    fewest = pruned["n"].min()
    asked = f"{full['n']:,} questions" + (
        "" if fewest == full["n"] else f", of some methods {fewest:,}"
    )
    sentences = [
        f"{asked}, one to a scene; with all tokens {full['right']:.1%} of the answers are right. "
        f"Of {len(pruned)} comparisons with a method's own random, after Holm's correction, "
        + ", ".join(f"{(pruned['verdict'] == v).sum()} are {v}" for v in (BETTER, EQUAL, WORSE))
        + "."
    ]
    for budget, there in pruned.groupby("budget", sort=True):
        better = there[there["verdict"] == BETTER].sort_values("gain", ascending=False)
        worse = there[there["verdict"] == WORSE].sort_values("gain")
        sentences.append(
            f"At {budget} tokens better than its own random: {_named(better) or 'no method'}; "
            f"worse: {_named(worse) or 'no method'}."
        )
    verdicts = pruned.groupby("title", sort=False)["verdict"].agg(set)
    never = [name for name, said in verdicts.items() if BETTER not in said]
    if never:
        sentences.append(f"At no budget better: {', '.join(never)}.")
    return sentences


def _named(rows: pd.DataFrame) -> str:
    return ", ".join(f"{row.title} ({100 * row.gain:+.0f})" for row in rows.itertuples())


def markdown(rows: pd.DataFrame) -> str:
    """Write the findings, and a table with a row per method: shares, marks, costs, questions."""
    budgets = sorted(rows[rows["method"] != "full"]["budget"].unique())
    dearest = budgets[-1]
    head = [*map(str, budgets), "positions", f"FLOPs, KV at {dearest}", "measured by", "questions"]
    lines = [f"- {finding}" for finding in findings(rows)]
    lines += ["", f"| method | {' | '.join(head)} |", "|---" * (len(head) + 1) + "|"]
    pruned = rows[rows["method"] != "full"]
    means = pruned.groupby("title", sort=False)["right"].mean()
    for name in means.sort_values(ascending=False, kind="stable").index:
        own = pruned[pruned["title"] == name].set_index("budget")
        shares = [_share(own.loc[b]) if b in own.index else "" for b in budgets]
        last, row = own.iloc[-1], own.iloc[0]
        random = "" if row["random"] == row["method"] else row["random_title"]
        cost = f"{last['flops']:.0%}, {last['kv']:.0%}"
        counts = "" if own["n"].empty else f"{own['n'].min():,}"
        lines.append(
            f"| {name} | {' | '.join(shares)} | {row['positions']} | {cost} | {random} | {counts} |"
        )
    return "\n".join([*lines, "", _by_kind(rows), *_policies(rows)]) + "\n"


def _share(row: pd.Series) -> str:
    return f"{row['right']:.0%}{MARKS.get(row['verdict'], '')}"


def _by_kind(rows: pd.DataFrame) -> str:
    """Write what all methods together lose by kind of question: the mean share over methods."""
    kinds = [column for column in rows if column.startswith(KIND)]
    pruned = rows[rows["method"] != "full"].groupby("budget", sort=True)[kinds].mean()
    full = rows[rows["method"] == "full"].iloc[0]
    names = " | ".join(kind.removeprefix(KIND) for kind in kinds)
    lines = [f"| mean of all methods | {names} |", "|---" * (len(kinds) + 1) + "|"]
    table = [
        ("all tokens", full),
        *((f"{budget} tokens", row) for budget, row in pruned.iterrows()),
    ]
    lines += [
        f"| {name} | {' | '.join('' if pd.isna(row[k]) else f'{row[k]:.0%}' for k in kinds)} |"
        for name, row in table
    ]
    return "\n".join(lines)


def _policies(rows: pd.DataFrame) -> list[str]:
    """Write what the same choice gives with positions counted anew and kept, where both are there.

    A method that keeps them has "positions=keep" in its name.
    """
    twins = {name: f"{name}?positions=keep" for name in dict.fromkeys(rows["method"])}
    twins = {a: b for a, b in twins.items() if b in set(rows["method"])}
    if not twins:
        return []
    kinds = [column for column in rows if column.startswith(KIND)]
    places = [kind for kind in PLACES if kind in kinds]
    others = [kind for kind in kinds if kind not in places]
    found = rows.set_index("method")
    lines = ["", "| the same choice, counted anew → kept | right | places | other kinds |"]
    lines += ["|---|---|---|---|"]
    for anew, kept in twins.items():
        changes = [
            " → ".join(
                f"{found.loc[[name], columns].to_numpy().mean():.0%}" for name in (anew, kept)
            )
            for columns in (["right"], places, others)
        ]
        lines.append(f"| {found.loc[[anew], 'title'].iloc[0]} | {' | '.join(changes)} |")
    lines += [
        "",
        "Means over budgets; of places (at, rel, where) and other kinds, means over kinds.",
    ]
    return lines
