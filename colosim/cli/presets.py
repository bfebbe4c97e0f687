"""``colosim presets``."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("presets")
def command() -> None:
    """List the presets of hosts and networks.

    The shipped ones, and your own, which are hosts/NAME.yaml and networks/NAME.yaml in
    ~/.config/colosim, or in the folder that the environment variable COLOSIM_PRESETS names. A
    scenario may also name a preset by the path of its file, from its own place:
    {preset: ./my-host.yaml}.
    """
    from colosim.errors import ScenarioError
    from colosim.scenario import preset, preset_names
    from colosim.scenario.hosts import Hosts
    from colosim.scenario.network import Network
    from colosim.scenario.own_presets import hidden_names, own_folder, own_names

    for section in (Hosts, Network):
        family = section.family
        own = own_names(family)
        width = max(map(len, (*preset_names(family), *own)))
        click.echo(f"{family}:")
        for name in preset_names(family):
            click.echo(f"  {name:<{width}}  {preset(family, name).description}")
        for name in own:
            try:
                read = section.own_preset({"preset": name}, Path())
            except ScenarioError as error:
                click.echo(str(error), err=True)
                continue
            if read is not None:
                click.echo(f"  {name:<{width}}  {preset(family, read).description} [your own]")
        for name in hidden_names(family):
            file = own_folder(family) / f"{name}.yaml"
            click.echo(f"colosim: {file} is not read: a shipped preset has its name", err=True)
