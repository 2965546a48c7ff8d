"""The skeleton of every HTML page that the program writes: one file, nothing loaded from anywhere.

The content security policy is the second lock behind escaping: even if a name slipped through as markup, a browser
would neither run nor fetch anything for it. Only a page that asks a person has a script, which is allowed by its hash.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from html import escape

__all__ = ["escape", "html_page", "marked"]

# Readable on a telephone held upright, in the dark, and on paper.
STYLE = """
:root { color-scheme: light dark; --ink: #1b1b1f; --quiet: #63636b; --paper: #faf9f6; --card: #fff; --line: #dcdad3;
  --mark: #b3421b; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #eceae4; --quiet: #a3a19a; --paper: #17171a; --card: #222226; --line: #38383e; --mark: #f0935f; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1500px; padding: 1rem; background: var(--paper); color: var(--ink);
  font: 16px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.35rem; line-height: 1.25; margin: .2rem 0 .6rem; }
h2 { font-size: 1.1rem; margin: 1.6rem 0 .6rem; }
p, ul { margin: .4rem 0; }
table { border-collapse: collapse; display: block; overflow-x: auto; }
th, td { border-bottom: 1px solid var(--line); padding: .3rem .7rem .3rem 0; text-align: left; vertical-align: top; }
code, pre { font: .9em ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
pre { overflow-x: auto; padding: .6rem; border: 1px solid var(--line); border-radius: 6px; background: var(--card); }
.quiet { color: var(--quiet); font-size: .9rem; }
"""


def marked(text: str, spans: Iterable[tuple[int, int]]) -> str:
    """Markup of a text in which ranges of its characters are marked; they are in order and do not overlap."""
    parts, last = [], 0
    for start, stop in spans:
        parts += [escape(text[last:start]), f"<mark>{escape(text[start:stop])}</mark>"]
        last = stop
    return "".join([*parts, escape(text[last:])])


def html_page(title: str, body: str, style: str = "", script: str = "") -> str:
    """A whole document.

    Args:
        title: plain text; escaped here.
        body: markup; every text in it already escaped by whoever made it.
        style: more CSS, after the common one.
        script: run when the page is there; nothing that came from outside may be in it.
    """
    css = STYLE + style
    scripts = f"script-src {_hash(script)}; " if script else ""
    policy = f"default-src 'none'; img-src data:; style-src {_hash(css)}; {scripts}base-uri 'none'; form-action 'none'"
    code = f"<script>{script}</script>\n" if script else ""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n<meta name="generator" content="comictool">\n'
        f"<title>{escape(title)}</title>\n<style>{css}</style>\n</head>\n<body>\n{body}{code}</body>\n</html>\n"
    )


def _hash(text: str) -> str:
    """What allows one inline style or script: https://www.w3.org/TR/CSP3/#grammardef-hash-source."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode('utf-8')).digest()).decode('ascii')}'"
