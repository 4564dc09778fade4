"""Small exports to read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from slarisk.config import CostPolicy, DataPolicy, Known, SlaPolicy

HEADER = "Id,Opened,Replied,Done,Prio"


@pytest.fixture
def sla() -> SlaPolicy:
    return SlaPolicy(
        name="standard",
        targets={"Critical": 4, "High": 8, "Normal": 24, "Low": 72},
        costs={"Critical": 500, "High": 200, "Normal": 50, "Low": 10},
        aliases={"Medium": "Normal"},
    )


@pytest.fixture
def cost() -> CostPolicy:
    return CostPolicy(name="charged", escalation_cost=20, charged=1, effectiveness=0.8)


@pytest.fixture
def make_policy(tmp_path: Path) -> Callable[..., DataPolicy]:
    """Make a data policy for a file with the columns of HEADER."""

    def make(path: Path | str = "tickets.csv", **settings: Any) -> DataPolicy:
        standard: dict[str, Any] = {
            "columns": {
                "ticket_id": "Id",
                "created_at": "Opened",
                "first_response_at": "Replied",
                "resolved_at": "Done",
                "priority": "Prio",
            },
            "known": Known(
                created=["ticket_id", "created_at", "priority"],
                first_response=["first_response_at"],
                resolved=["resolved_at"],
            ),
        }
        return DataPolicy(name="small", path=str(tmp_path / path), **(standard | settings))

    return make


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write rows under HEADER (or another header) and give the file's path."""

    def make(rows: list[str], name: str = "tickets.csv", header: str = HEADER) -> Path:
        path = tmp_path / name
        path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
        return path

    return make
