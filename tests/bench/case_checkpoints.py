"""Checkpoints as other trainers store them: `embed --weights` of each has to give the vectors of the plain file.

`make.py FOLDER` of the case writes `plain_NAME.pth` for a timm model NAME and further files `..._NAME.pth` beside it.
"""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from comictool.corpus.corpus import Corpus
from comictool.vectors.store import Store
from tests.bench.cases import Case, Outcome, run
from tests.vectors.fakes import make_page

LEAST_COSINE = 0.9999  # the same weights give the same vectors


def compare_checkpoints(case: Case, folder: Path, out: Path, variables: Mapping[str, str]) -> Outcome:
    """Embed a page with every file; a finding for each that is refused or gives another vector than the plain one."""
    corpus = Corpus.create(folder / "corpus")
    corpus.write_pages("a", [make_page(corpus, "a", 1, 0)])
    script, made = folder / case.files[0], folder / "made"
    outcome = run(f"{sys.executable} {shlex.quote(str(script))} {shlex.quote(str(made))}", folder, out, variables)
    plain = {file.stem.removeprefix("plain_"): file for file in sorted(made.glob("plain_*"))}
    others = sorted(set(made.iterdir()) - set(plain.values())) if made.is_dir() else []
    if outcome.code or not others:
        outcome.findings = [f"{script.name} made no checkpoints: {outcome.err.strip()[-200:]}"]
        return outcome

    def vector(model: str, weights: Path) -> np.ndarray | str:
        shutil.rmtree(out, ignore_errors=True)
        done = run(
            f"comictool embed corpus -o {shlex.quote(str(out))} --plugin timm:{model} --weights "
            f"{shlex.quote(str(weights))} --level page --storage float32 --device cpu --precision fp32 -j 1",
            folder,
            out,
            variables,
        )
        if done.code:
            return f"exit {done.code}: {done.problems[0] if done.problems else ''}"
        with Store.open(out) as store:
            return next(iter(store.columns.values())).vectors([0]).reshape(-1)

    right = {model: vector(model, file) for model, file in plain.items()}
    for file in others:
        model = max((name for name in plain if file.stem.endswith(f"_{name}")), key=len, default=None)
        if model is None:
            outcome.findings.append(f"{file.name}: there is no plain file of its model")
            continue
        given, true = vector(model, file), right[model]
        if isinstance(given, str) or isinstance(true, str):
            outcome.findings.append(f"{file.name}: {given if isinstance(given, str) else true}")
        elif (cosine := given @ true / np.linalg.norm(given) / np.linalg.norm(true)) < LEAST_COSINE:
            outcome.findings.append(f"{file.name}: cosine {cosine:.4f}")
    return outcome
