"""`burstfix backends`: what there is to choose from."""

from typing import Annotated

import typer


def backends(
    json: Annotated[bool, typer.Option("--json", help="Print a JSON object a backend.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    """List the backends: tasks, parameters, weights, licence."""
    del debug  # read by `main`
    from burstfix.cli.console import print_json
    from burstfix.restore.catalogue import list_backends

    entries = list_backends()
    if json:
        for entry in entries:
            print_json(entry)
        return
    for entry in entries:
        size = f"{entry['parameters']:,} parameters" if entry["parameters"] else "a formula"
        typer.echo(f"{entry['name']:<14} {', '.join(entry['tasks']):<14} {size}")
        typer.echo(f"{'':<14} {entry['summary']}")
        for card in entry["weights"]:
            trained = f"trained {card['minutes']:.0f} minutes on {card['device']}"
            typer.echo(f"{'':<14} {card['file']}: {trained}; {card['licence']} (credits: --json)")
