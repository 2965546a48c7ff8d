"""`comictool serve`: a library in the browser."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from comictool.cli.complete import plugin_names
from comictool.cli.options import Device, PluginFolders, Weights, check_device, command
from comictool.cli.output import Format, Output
from comictool.core.errors import ExitCode, SetupError, UsageError

if TYPE_CHECKING:
    from comictool.plugins.encoder import Encoder

NEEDED = {"starlette": "starlette", "uvicorn": "uvicorn", "python_multipart": "python-multipart", "jinja2": "jinja2"}


@command
def serve(
    library: Annotated[Path, typer.Argument(metavar="LIBRARY", help="A library, or a store with its corpus.")],
    host: Annotated[str, typer.Option("--host", help="Listen here; other than this machine needs a token.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="And on this port; 0 is any.")] = 8080,
    token: Annotated[
        str | None,
        typer.Option(
            "--token", envvar="COMICTOOL_TOKEN", help="Who asks must show this; `new` makes one.", metavar="T|new"
        ),
    ] = None,
    open_: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
    plugin: Annotated[
        str | None,
        typer.Option(
            "--plugin", autocompletion=plugin_names, help="Embed pictures with this, not with what the store remembers."
        ),
    ] = None,
    plugin_dir: PluginFolders = None,
    weights: Weights = None,
    trust_plugin: Annotated[bool, typer.Option("--trust-plugin", help="Let the plugin run its own code.")] = False,
    device: Device = "auto",
    *,
    out: Output,
) -> int:
    """Search and read a library in the browser.

    Search by words, by a picture (drop, paste or choose one), or by any panel; look at pages with their panels and
    balloons, and read panel by panel. Nothing is written, and nothing is fetched from the network. Only this machine
    reaches it unless --host says otherwise; then whoever asks needs the token that is printed. Other people who are
    logged in on this machine reach 127.0.0.1 as well: --token new keeps them out. The same as JSON is at
    /api/openapi.json. Ctrl-C ends it.

    Example: comictool serve library --open
    """
    check_device(device)
    if plugin is None and (plugin_dir or weights):
        raise UsageError("--plugin-dir and --weights say where to find a plugin", hint="name it with --plugin")
    missing = [name for module, name in NEEDED.items() if importlib.util.find_spec(module) is None]
    if missing:
        raise SetupError(f"serving needs {' and '.join(missing)}", hint="pip install 'comictool[serve]'")
    from comictool.serve import running
    from comictool.serve.app import Served, Server, most_body
    from comictool.serve.guard import Rules

    wanted = running.token_for(host, token)
    listening = running.listen(host, port)
    port = listening.getsockname()[1]
    address = running.address_of(host, port, wanted)

    def encoder() -> Encoder:
        from comictool.plugins.load import load_plugin

        assert plugin is not None
        return load_plugin(plugin, plugin_dirs=plugin_dir or (), trust=trust_plugin, device=device, weights=weights)

    def ready() -> None:
        if server.shelf.pictures_note:
            out.note(server.shelf.pictures_note)
        if out.format is Format.table:
            out.text(address)
            out.note("Ctrl-C ends it")
        else:
            out.record({"address": address})

    rules = Rules(host, wanted, most_body(), port)
    server = Server(Served(library, rules, encoder if plugin is not None else None, trust_plugin, device))
    running.serve(server, listening, ready=ready, open_browser=address if open_ else "")
    return ExitCode.DONE
