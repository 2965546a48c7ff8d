"""Shell completion: the scripts for each shell, and value completers that import nothing heavy."""

from __future__ import annotations

from pathlib import Path

from comictool.core.errors import UsageError, near_matches

SHELLS = {"bash": "comictool.bash", "zsh": "_comictool", "fish": "comictool.fish"}  # shell -> file in completions/

# Typer's own for zsh answers the first Tab with nothing when it lies in $fpath (where the file is the function, run at
# that Tab), and fails with "command not found: compdef" in a .zshrc that has not called compinit.
_ZSH = """\
#compdef comictool

_comictool_completion() {
  eval $(env _TYPER_COMPLETE_ARGS="${words[1,$CURRENT]}" _COMICTOOL_COMPLETE=complete_zsh comictool)
}

if [[ "${funcstack[1]}" == _comictool ]]; then
  _comictool_completion "$@"
else
  (( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
  compdef _comictool_completion comictool
fi"""


def script(shell: str) -> str:
    """The completion script for a shell.

    Raises:
        UsageError: not bash, zsh or fish.
    """
    from typer.completion import get_completion_script

    if shell not in SHELLS:
        raise UsageError(
            f"no completion for {shell!r}; there is one for {', '.join(SHELLS)}", near=near_matches(shell, SHELLS)
        )
    if shell == "zsh":
        return _ZSH
    return get_completion_script(prog_name="comictool", complete_var="_COMICTOOL_COMPLETE", shell=shell)


def write_all(folder: Path) -> list[Path]:
    """Write the script of every shell into a folder; `python -m comictool.cli.complete completions` calls it."""
    from comictool.core.files import write_text

    files = []
    for shell, name in SHELLS.items():
        write_text(folder / name, script(shell) + "\n")
        files.append(folder / name)
    return files


def plugin_names(incomplete: str) -> list[str]:
    """Names of plugins that begin as typed; reads manifests' names only, runs no plugin code."""
    from comictool.plugins.discovery import names_for_completion

    return [name for name in names_for_completion([]) if name.startswith(incomplete)]


if __name__ == "__main__":
    import sys

    write_all(Path(sys.argv[1]))
