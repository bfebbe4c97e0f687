"""``colosim run --check-determinism``: two fresh processes, two hash seeds, the same bytes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import click

from colosim.cli.main import STATUS_FAILED, STATUS_NOBODY_SERVES, STATUS_VIOLATED
from colosim.cli.process import STATUS_BAD_INPUT
from colosim.files import writing

_HASH_SEEDS = ("1", "2")
_ENDED = {0, STATUS_FAILED, STATUS_NOBODY_SERVES, STATUS_VIOLATED}


def compare_processes(
    scenarios: Sequence[str],
    *,
    designs: Sequence[str],
    seed: int | None,
    seeds: Sequence[int],
    overrides: Sequence[str],
    form: str,
) -> int:
    """Run twice, print which runs are the same in every file, and return the exit status.

    :raises click.UsageError: if many seeds are asked for.
    """
    if seeds:
        raise click.UsageError("--seeds and --check-determinism do not go together")
    arguments = [*scenarios, "--format", "json"]
    for name, values in (("--design", designs), ("--set", overrides)):
        for value in values:
            arguments += [name, value]
    if seed is not None:
        arguments += ["--seed", str(seed)]
    with writing("a temporary folder"):
        temporary = tempfile.TemporaryDirectory(prefix="colosim-")
    with temporary as folder:
        outs = [Path(folder, hash_seed) for hash_seed in _HASH_SEEDS]
        for hash_seed, out in zip(_HASH_SEEDS, outs, strict=True):
            status = _run(arguments, out, hash_seed)
            if status not in _ENDED:
                return status if status > 0 else STATUS_BAD_INPUT
        return _report(*outs, form=form)


def _run(arguments: Sequence[str], out: Path, hash_seed: str) -> int:
    done = subprocess.run(  # noqa: S603 - this very program, with arguments of its own
        [sys.executable, "-m", "colosim", "run", *arguments, "--out", str(out)],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode not in _ENDED:
        click.echo(done.stderr, err=True, nl=False)
    return done.returncode


def _report(left: Path, right: Path, *, form: str) -> int:
    from colosim.runs.difference import diff

    results = []
    for manifest in sorted(left.rglob("manifest.json")):
        one, other = manifest.parent, right / manifest.parent.relative_to(left)
        name = one.relative_to(left).as_posix()
        same = _files(one) == _files(other)
        digest = json.loads(manifest.read_text(encoding="utf-8"))["digest"]
        results.append({"run": name, "digest": digest, "deterministic": same})
        if form == "table":
            click.echo(f"{name}: {'the same twice' if same else 'DIFFERENT'}, digest {digest}")
        if not same:
            click.echo(diff(one, other) or "the events agree, a file does not", err=True)
    if form == "json":
        click.echo(json.dumps(results, indent=2))
    return 0 if all(result["deterministic"] for result in results) else STATUS_FAILED


def _files(folder: Path) -> dict[str, bytes]:
    # The manifest has the SHA-256 of every other file.
    if not folder.is_dir():
        return {}
    names = {path.name: b"" for path in sorted(folder.iterdir())}
    return {**names, "manifest.json": (folder / "manifest.json").read_bytes()}
