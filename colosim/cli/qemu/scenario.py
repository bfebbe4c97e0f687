"""``colosim qemu scenario RUN_DIR|NAME``."""

from __future__ import annotations

from typing import Any

import click


@click.command("scenario")
@click.argument("run", metavar="RUN_DIR|NAME")
def command(run: str) -> None:
    """Print the scenario of a real run's conditions.

    RUN is a run folder of the lab or the name of a shipped run, such as
    qemu111/base_c4_n4000_binf. Host, network and guest are those that 'colosim qemu validate'
    simulates in its closed loop: the guest writes at its rate. Of a fault run the conditions only,
    not its fault. What is printed is a scenario file, which every command takes.
    """
    from colosim.errors import LogError
    from colosim.measured.conditions import closed_loop
    from colosim.measured.measured import names
    from colosim.measured.measurement import WARMUP
    from colosim.measured.selection import select
    from colosim.scenario import resolve

    runs, _ = select([run])
    if len(runs) != 1:
        raise LogError(f"{run!r} means {len(runs)} runs; a scenario is of one")
    (found,) = runs
    shown: dict[str, Any] = {
        "description": f"conditions of the real run {found.name}, QEMU {found.qemu}",
        "warmup": min(WARMUP, len(found.counted())),
        "measured": {found.design: found.name} if found.name in names() else {},
    }
    click.echo(resolve(closed_loop(found, **shown)), nl=False)
