"""A picture that a person decides on in the report: it, the reference that spoke for its name, and what may be ticked.

What was ticked is saved by the page as the file that `comictool.reid.sorting.corrections` reads. The page works from
disk: the button makes the file of what is in the page, and nothing is sent anywhere.
"""

from __future__ import annotations

from pathlib import Path

from comictool.core.errors import ComicError
from comictool.reid.types import Decision
from comictool.report.page import escape
from comictool.report.thumbnails import thumbnail

REFERENCE_SIDE = 120  # pixels; the same reference stands beside many pictures

CARD_STYLE = """
.cards { list-style: none; margin: 0; padding: 0; display: grid; gap: .8rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 17rem), 1fr)); }
fieldset.card { margin: 0; min-width: 0; height: 100%; padding: .5rem .6rem .6rem; background: var(--card);
  border: 1px solid var(--line); border-radius: 8px; }
fieldset.card:focus-within { border-color: var(--mark); }
fieldset.card.done { border-width: 2px; border-color: var(--ink); }
.card legend { font-weight: 600; font-size: .85rem; padding: 0 .3rem; }
.card .both { display: flex; gap: .5rem; align-items: flex-start; }
.card .both img { display: block; max-width: 100%; height: auto; max-height: 18rem; object-fit: contain; }
.card .shown { flex: 2; min-width: 0; } .card .deciding { flex: 1; min-width: 0; font-size: .75rem; }
.card p { font-size: .85rem; margin: .3rem 0; }
.card label { display: block; padding: .3rem 0; } .card input { font: inherit; }
.card input[type=radio] { width: 1.15rem; height: 1.15rem; vertical-align: -.15rem; margin-right: .4rem; }
.card input[type=text] { width: min(100% - 2.2rem, 14rem); }
.bar { position: sticky; bottom: 0; display: flex; flex-wrap: wrap; gap: .3rem 1rem; align-items: center;
  padding: .6rem 0; background: var(--paper); border-top: 1px solid var(--line); }
.bar button { font: inherit; font-weight: 600; padding: .5rem 1rem; }
@media (hover: none) { .keys { display: none; } }
@media print { .bar { display: none; } }
"""

BAR = """<div class="bar"><button type="button" id="save">Save corrections</button>
<span id="told" role="status" class="quiet">nothing ticked yet</span>
<span class="quiet keys">Keys: y it is, n it is not, t type a name, j next picture, k the one before.</span></div>
"""

# Texts of the page reach it by data attributes only; the script is the same on every page, and so is its hash.
SCRIPT = """
"use strict";
const cards = [...document.querySelectorAll("fieldset.card")], told = document.getElementById("told");
const run = "comictool " + document.querySelector("main").dataset.run;
const choice = card => card.querySelector("input[type=radio]:checked");
const typed = card => card.querySelector("input[type=text]");
function answer(card) {
  const picked = choice(card), name = typed(card).value.trim(), {path, digest, guess} = card.dataset;
  if (!picked || (picked.value === "name" && !name)) return null;
  if (picked.value === "no") return {path, digest, refused: [guess]};
  return {path, digest, character: picked.value === "yes" ? guess : name};
}
const answers = () => cards.map(answer).filter(Boolean);
function changed(card) {
  if (card) card.classList.toggle("done", answer(card) !== null);
  const count = answers().length;
  told.textContent = count ? count + (count === 1 ? " picture" : " pictures") + " decided" : "nothing ticked yet";
}
function keep() {
  const state = {};
  for (const card of cards) if (choice(card)) state[card.dataset.digest] = [choice(card).value, typed(card).value];
  try { localStorage.setItem(run, JSON.stringify(state)); } catch { /* a browser that keeps nothing for files */ }
}
function pick(card, value) {
  const button = [...card.querySelectorAll("input[type=radio]")].find(one => one.value === value);
  if (button) { button.checked = true; changed(card); keep(); }
  return button;
}
function go(card, step) {
  const next = cards[cards.indexOf(card) + step];
  if (next) { next.querySelector("input[type=radio]").focus(); next.scrollIntoView({block: "center"}); }
}
try {
  const state = JSON.parse(localStorage.getItem(run)) || {};
  for (const card of cards) {
    const kept = state[card.dataset.digest];
    if (kept) { typed(card).value = kept[1]; pick(card, kept[0]); }
  }
} catch { /* nothing was kept */ }
for (const card of cards) {
  card.addEventListener("change", () => { changed(card); keep(); });
  typed(card).addEventListener("input", () => { pick(card, "name"); changed(card); });
}
document.addEventListener("keydown", event => {
  const card = event.target.closest && event.target.closest("fieldset.card");
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.type === "text") { if (event.key === "Enter" && card) go(card, 1); return; }
  const at = card || cards[0], step = {j: 1, k: -1}[event.key], value = {y: "yes", n: "no"}[event.key];
  if (!at || !(step || value || event.key === "t")) return;
  event.preventDefault();
  if (step) go(at, card ? step : 0);
  else if (value) { if (pick(at, value)) go(at, 1); }
  else typed(at).focus();
});
document.getElementById("save").addEventListener("click", () => {
  const file = {kind: "comictool reid corrections", version: 1, corrections: answers()};
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([JSON.stringify(file, null, 1)], {type: "application/json"}));
  link.download = "corrections.json";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
});
changed(null);
"""


def card(decision: Decision, shown: Path, side: int, number: int) -> tuple[str, bool]:
    """The markup of one picture, and whether it could be shown.

    Args:
        decision: what was decided.
        shown: where the picture lies now.
        side: longest side of its thumbnail in pixels.
        number: of the picture on the page, from 1.
    """
    picture, there = _image(shown, side, Path(decision.path).name)
    best = decision.candidates[0] if decision.candidates else None
    guess = decision.character or (best.character if best else "")
    deciding = next((c for c in decision.candidates if c.character == guess), None)
    beside = ""
    if deciding is not None and deciding.reference:
        reference, _ = _image(Path(deciding.reference), min(side, REFERENCE_SIDE), f"reference of {guess}")
        beside = f'<div class="deciding">{reference}{escape(guess)}</div>'
    data = {"path": decision.path, "digest": decision.digest, "guess": guess}
    attributes = " ".join(f'data-{key}="{escape(value)}"' for key, value in data.items())
    choices = ""
    if guess:
        choices = _choice(number, "yes", f"It is <b>{escape(guess)}</b>") + _choice(number, "no", "It is not")
    name = '<input type="text" list="names" aria-label="Another name" placeholder="a name" autocomplete="off">'
    markup = (
        f'<li><fieldset class="card" {attributes}><legend>{escape(Path(decision.path).name)}</legend>'
        f'<div class="both"><div class="shown">{picture}</div>{beside}</div>'
        f'<p class="quiet">{"<br>".join(map(escape, candidate_lines(decision)))}</p>'
        f"{choices}{_choice(number, 'name', name)}</fieldset></li>\n"
    )
    return markup, there


def candidate_lines(decision: Decision) -> list[str]:
    """Who the picture may show, and what it had to reach."""
    ranked = " · ".join(f"{c.character} {c.score:.3f}" for c in decision.candidates[:3])
    values = (("margin", decision.margin), ("threshold", decision.threshold))
    told = [decision.status, *(f"{name} {value:.3f}" for name, value in values if value is not None)]
    return [line for line in (ranked, ", ".join(told)) if line]


def _choice(number: int, value: str, text: str) -> str:
    return f'<label><input type="radio" name="p{number}" value="{value}">{text}</label>'


def _image(path: Path, side: int, text: str) -> tuple[str, bool]:
    try:
        small = thumbnail(path, None, side)
    except ComicError as error:
        return f'<div class="quiet">{escape(path.name)}: {escape(error.fact)}</div>', False
    size = f'width="{small.width}" height="{small.height}"'
    return f'<img src="{small.uri}" {size} alt="{escape(text)}" loading="lazy">', True
