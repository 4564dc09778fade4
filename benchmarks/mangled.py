"""What scoring makes of spoilt exports: each is scored or refused in one sentence.

Takes tickets of the bundled sample, spoils the file (bytes flipped, rows cut, quotes broken, values
of the wrong kind, gaps, very long fields, emoji, NUL, ids that repeat, other packaging), scores it
and counts: nothing but an ``InputError`` may be raised, rows in must be the rows scored and the
rows rejected, the files must say the same, and an export that is refused must leave the old one.

``python benchmarks/mangled.py [exports] [seed]``, from the repository root, by default 10,000.
Prints what came of them and leaves with 1 if any of it was wrong.
"""

import gzip
import io
import sys
import tempfile
import traceback
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from slarisk.command_line import register_schemas
from slarisk.errors import InputError
from slarisk.exports import read as read_module
from slarisk.scoring.output_files import rejected_path
from slarisk.scoring.stream import score_stream
from slarisk.scoring.task import Task
from slarisk.training.fit import fit_and_evaluate
from slarisk.training.prepare import prepare

ROOT = Path(__file__).resolve().parent.parent
SAMPLE = ROOT / "data" / "sample_tickets.csv"
ODD = [
    "",
    "NA",
    "\U0001f525\U0001f4a5",
    "\0",
    "-1",
    "1e999",
    "=1+1",
    "2024-13-45",
    "ÿ",
    "x" * 70_000,
]
ODD += [
    "nan",
    "\u202e",
    "a\nb",
    "'",
    "0x1F",
    "true",
    "99999999999999999999",
    "2024-01-01T00:00:00Z",
]
BYTES = [b'"', b'""', b",", b"\n", b"\r", b"\r\n", b"\0", b"\xff", b"\xf0\x9f", b";", b"'", b"\\"]


def spoil(table: pd.DataFrame, rng: np.random.Generator) -> tuple[str, bytes]:
    """Spoil some tickets; gives the ending of the file, and its bytes."""
    table = table.copy()
    for _ in range(rng.integers(0, 6)):
        column = rng.choice(table.columns)
        table.loc[rng.integers(0, len(table)), column] = ODD[rng.integers(len(ODD))]
    if rng.random() < 0.2:
        table = table.iloc[rng.integers(0, len(table), rng.integers(1, 2 * len(table)))]
    if rng.random() < 0.1:
        table = table[rng.permutation(table.columns)]
    if rng.random() < 0.05:
        table = table.drop(columns=rng.choice(table.columns))
    if rng.random() < 0.1:
        buffer = io.BytesIO()
        numbers = table.apply(pd.to_numeric, errors="coerce")
        typed = table.where(numbers.isna(), numbers) if rng.random() < 0.3 else table
        typed.astype(table.dtypes.to_dict()).to_parquet(buffer)
        return ".parquet", cut(buffer.getvalue(), rng, 0.5)
    text = table.to_csv(index=False).encode(errors="surrogatepass")
    text = cut(text, rng, 0.8)
    if rng.random() < 0.1:
        return ".csv.gz", cut(gzip.compress(text, mtime=0), rng, 0.3)
    return ".csv", text


def cut(data: bytes, rng: np.random.Generator, chance: float) -> bytes:
    """Put odd bytes into some places of a file, take others away, or end it early."""
    if rng.random() > chance:
        return data
    for _ in range(rng.integers(1, 5)):
        at = int(rng.integers(0, len(data) + 1))
        kind = rng.random()
        if kind < 0.3 and len(data):
            flipped = bytes([data[min(at, len(data) - 1)] ^ (1 << int(rng.integers(8)))])
            data = data[:at] + flipped + data[at + 1 :]
        elif kind < 0.7:
            data = data[:at] + BYTES[rng.integers(len(BYTES))] + data[at:]
        elif kind < 0.9:
            data = data[:at] + data[at + int(rng.integers(1, 60)) :]
        else:
            data = data[:at]
    return data


def check(task: Task) -> str:
    """Score a spoilt export and check what came of it; gives that in a word or two."""
    assert task.output is not None
    task.output.write_text("old")
    refused = ""
    try:
        tally = score_stream(task)
    except InputError as error:
        refused = str(error)
    left = [path.name for path in task.output.parent.glob(".*")]
    assert not left, f"left behind: {left}"
    if refused:
        assert "\n" not in refused, f"not one sentence: {refused}"
        assert task.output.read_text() == "old", "a refused export replaced the old one"
        return "refused"
    export = pd.read_csv(task.output, dtype="str", keep_default_na=False)
    rejected = pd.read_csv(task.rejected, dtype="str", keep_default_na=False)
    assert tally.rows_in == tally.scored + tally.rejected.total(), "rows do not add up"
    assert len(export) == tally.scored, "the export has another number of rows"
    assert len(rejected) == tally.rejected.total(), "the rejected rows are others"
    assert export["Ticket ID"].is_unique, "a ticket twice"
    assert not export["Ticket ID"].str.match(r"[=@\t\r]").any(), "a formula"
    return "scored in part" if len(rejected) else "scored"


def main(exports: str = "10000", seed: str = "0") -> int:
    """Spoil, score and count."""
    register_schemas()
    with initialize_config_dir(str(ROOT / "conf")):
        overrides = ["model=lr", f"data.path={SAMPLE}", "data.truth=null"]
        config = OmegaConf.to_object(compose("train", overrides))
    bundle = fit_and_evaluate(config, prepare(config)).bundle
    sample = pd.read_csv(SAMPLE, dtype="str", keep_default_na=False, nrows=500)
    rng = np.random.default_rng(int(seed))
    read_module.PART_BYTES = 2000  # so that an export has several parts
    came: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        for number in range(int(exports)):
            first = rng.integers(0, 460)
            ending, data = spoil(sample.iloc[first : first + 30].reset_index(drop=True), rng)
            source = Path(folder) / f"tickets{ending}"
            source.write_bytes(data)
            output = Path(folder) / "out" / "risk.csv"
            output.parent.mkdir(exist_ok=True)
            task = Task(
                bundle=bundle,
                decision=bundle.manifest.decision,
                source=str(source),
                output=output,
                rejected=rejected_path(output),
                version="1",
                scored_at="now",
            )
            try:
                came[check(task)] += 1
                reasons.update(pd.read_csv(task.rejected)["reason"] if output.exists() else [])
            except Exception:
                came["wrong"] += 1
                kept = ROOT / "outputs" / f"mangled-{number}{ending}"
                kept.parent.mkdir(exist_ok=True)
                kept.write_bytes(data)
                print(f"export {number}, kept as {kept}:", file=sys.stderr)
                traceback.print_exc()
            source.unlink()
            if (number + 1) % 1000 == 0:
                print(number + 1, dict(came), flush=True)
    print(f"{int(exports):,} exports: {', '.join(f'{n:,} {word}' for word, n in came.items())}")
    print("rows rejected: " + ", ".join(f"{n:,} {reason}" for reason, n in reasons.most_common()))
    return 1 if came["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
