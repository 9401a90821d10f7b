"""`burstfix pack`: photographs in one file that travels."""

from pathlib import Path
from typing import Annotated

import typer


def pack(
    folder: Annotated[Path, typer.Argument(help="Folder of photographs.", show_default=False)],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The pack, as photos.pack.", show_default=False)
    ],
    quality: Annotated[int, typer.Option("--quality", min=1, max=100)] = 85,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    """Pack photographs into one compact file that travels to a GPU server."""
    del debug  # read by `main`
    from burstfix.io.photos import pack_photos

    count = pack_photos(folder, output, quality=quality)
    size = output.stat().st_size / (1 << 20)
    typer.echo(f"Packed {count} photographs into {output}, {size:.1f} MiB.", err=True)
