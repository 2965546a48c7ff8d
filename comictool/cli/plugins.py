"""`comictool plugins ...`: list, inspect, check and trust model plugins."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from comictool.cli.complete import plugin_names
from comictool.cli.options import Force, Loading, PluginFolders, command
from comictool.cli.output import Output
from comictool.core.errors import ExitCode, UsageError

Name = Annotated[str, typer.Argument(metavar="PLUGIN", autocompletion=plugin_names, help="A plugin's name or folder.")]


@command
def list_(plugin_dir: PluginFolders = None, *, out: Output) -> int:
    """List the plugins that can be used by name.

    Looks in --plugin-dir, then in the folders of COMICTOOL_PLUGIN_DIRS, then among the shipped ones; runs no
    plugin's code. Any timm architecture can be used too, as timm:NAME.

    Example: comictool plugins list --json
    """
    from comictool.plugins.discovery import list_plugins

    plugins = list_plugins(plugin_dir or [])
    trust = {None: "runs no code", True: "trusted", False: "not trusted"}
    rows = [
        {
            "name": p.name,
            "kind": p.kind,
            "dimension": p.dimension,
            "licence": p.licence,
            "code": "" if p.problem else trust[p.trusted],
            "weights": "needs weights" if p.needs_weights else "",
            "where": p.where,
            "title": p.title,
            "version": p.version,
            "architecture": p.architecture,
            "directory": str(p.directory),
            "problem": p.problem or None,
        }
        for p in plugins
    ]
    out.rows(rows, ["name", "kind", "dimension", "licence", "code", "weights", "where", "title"])
    broken = [p for p in plugins if p.problem]
    for p in broken:
        out.warn(f"{p.name}: {p.problem}")
    return ExitCode.FINDINGS if broken else ExitCode.DONE


@command
def show(name: Name, plugin_dir: PluginFolders = None, *, out: Output) -> int:
    """Show what a plugin's manifest says.

    Example: comictool plugins show classic
    """
    from dataclasses import asdict

    from comictool.cli.output import Format
    from comictool.plugins.discovery import find_plugin, summarise
    from comictool.plugins.manifest import format_manifest, read_manifest

    place = find_plugin(name, plugin_dir or [])
    if place.legacy or out.format is not Format.table:
        facts = asdict(summarise(place)) | {"directory": str(place.directory)}
        if not place.legacy:
            facts |= {"manifest": asdict(read_manifest(place.directory))}
        out.record(facts)
        return ExitCode.DONE
    out.text(format_manifest(read_manifest(place.directory)))
    return ExitCode.DONE


@command
def check(name: Name, *, loading: Loading, out: Output) -> int:
    """Prove that a plugin loads and answers as it should.

    Loads it and asks it what its kind is for: the same answer twice, the same alone and in a batch, finite numbers of
    the promised form; of an encoder also unit length, odd pictures and speed. Exit code 1 when a check fails.

    Example: comictool plugins check classic
    """
    from comictool.plugins.check import check_plugin

    results = check_plugin(loading.spec(name))
    rows = [{"check": r.name, "ok": r.ok, "detail": r.detail} for r in results]
    out.rows(rows, ["check", "ok", "detail"])
    return ExitCode.DONE if all(r.ok for r in results) else ExitCode.FINDINGS


@command
def trust(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="The plugin's folder.")],
    revoke: Annotated[bool, typer.Option("--revoke", help="Take trust back.")] = False,
    *,
    out: Output,
) -> int:
    """Allow the code in a plugin directory to run, as it is now.

    Trust is recorded with the hash of every file; a change of any of them ends it. Read the code first: it runs
    with all your rights.

    Example: comictool plugins trust ~/models/mine
    """
    from comictool.plugins.trust import revoke_plugin, trust_plugin

    if revoke:
        was = revoke_plugin(directory)
        out.note(f"{directory} is not trusted any more" if was else f"{directory} was not trusted")
        return ExitCode.DONE
    fingerprint = trust_plugin(directory)
    rows = [{"file": file, "sha256": digest} for file, digest in fingerprint.files.items()]
    out.rows(rows, ["file", "sha256"])
    out.note(f"{directory} is trusted as it is now")
    return ExitCode.DONE


@command
def convert(
    source: Annotated[Path, typer.Argument(metavar="FILE", help="A checkpoint: .pt, .pth, .mdl, .ckpt, .safetensors.")],
    output: Annotated[Path | None, typer.Option("-o", "--output", help="File to write; beside it by default.")] = None,
    key: Annotated[str, typer.Option("--key", help="Which part, when it holds several, for example state_dict.")] = "",
    plugin: Annotated[
        str, typer.Option("--for", metavar="PLUGIN", help="Make -o FOLDER a plugin like this one, with these weights.")
    ] = "",
    heads: Annotated[
        int | None, typer.Option("--heads", min=1, help="With --for: attention heads, which no weights tell.")
    ] = None,
    half: Annotated[bool, typer.Option("--half", help="With --for: keep what the plugin uses, in fp16.")] = False,
    plugin_dir: PluginFolders = None,
    force: Force = False,
    *,
    out: Output,
) -> int:
    """Turn a checkpoint into safetensors without running anything in it.

    Only tensors are taken; every other object in the file is left behind and named, never built. With --for, the
    result is a whole plugin: the manifest of a plugin that needs weights, and these weights. `dino_vits16` takes any
    size (tiny, small, base; patches of 8, 14, 16), which is read off the weights.

    Example: comictool plugins convert res18_0222.mdl --for res18_single -o ~/plugins/res18_single
    """
    from comictool.plugins.convert import convert_checkpoint

    if plugin:
        from comictool.plugins.completing import complete_plugin

        if output is None:
            raise UsageError("--for needs a folder to write the plugin into", hint=f"-o {plugin}")
        done = complete_plugin(
            source, plugin, output, plugin_dirs=plugin_dir or [], key=key, heads=heads or 0, half=half, force=force
        )
    else:
        if half:
            raise UsageError("--half needs --for PLUGIN, which says what is used")
        done = convert_checkpoint(source, output, key=key, force=force)
    facts = {"output": str(done.output), "sha256": done.sha256, "tensors": done.tensors}
    out.record({**facts, "left_behind": list(done.left_behind)})
    if done.title:
        out.note(done.title)
    if done.left_behind:
        out.note(f"left behind: {', '.join(map(str, done.left_behind))}")
    return ExitCode.DONE
