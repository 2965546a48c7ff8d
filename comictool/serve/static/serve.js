// Dropping and pasting pictures, overlays, keys, and reading panel by panel. Everything else works without it.
"use strict";

const one = (selector) => document.querySelector(selector);
const all = (selector) => [...document.querySelectorAll(selector)];
const say = (text) => { one("#said").textContent = text; };

// A picture to look for: chosen, dropped or pasted.
const give = one(".give");
function look(file) {
  if (!file || !give) return;
  if (!file.type.startsWith("image/")) { say("That is not a picture."); return; }
  if (file.size > Number(give.dataset.most)) { say("That picture is too large."); return; }
  document.body.classList.add("busy");
  say("Looking for the picture");
  const files = new DataTransfer();
  files.items.add(file);
  give.querySelector("input").files = files.files;
  give.submit();
}
if (give) {
  give.querySelector("input").addEventListener("change", (event) => look(event.target.files[0]));
  let depth = 0;
  const hasFile = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  addEventListener("dragenter", (event) => { if (hasFile(event)) { depth += 1; one("#drop").hidden = false; } });
  addEventListener("dragleave", () => { depth = Math.max(0, depth - 1); one("#drop").hidden = depth === 0; });
  addEventListener("dragover", (event) => { if (hasFile(event)) event.preventDefault(); });
  addEventListener("drop", (event) => {
    depth = 0;
    one("#drop").hidden = true;
    if (hasFile(event)) { event.preventDefault(); look(event.dataTransfer.files[0]); }
  });
  addEventListener("paste", (event) => {
    const file = [...(event.clipboardData?.files ?? [])].find((each) => each.type.startsWith("image/"));
    if (file) { event.preventDefault(); look(file); }
  });
}
addEventListener("pageshow", () => document.body.classList.remove("busy"));

const isTyping = (event) => event.target.matches("input:not([type=checkbox]), textarea, select") || event.ctrlKey || event.metaKey || event.altKey;
addEventListener("keydown", (event) => {
  if (event.key === "/" && !isTyping(event) && one("#q")) { event.preventDefault(); one("#q").select(); }
});

// How much each of several questions counts.
for (const slider of all(".weights input")) slider.addEventListener("change", () => slider.form.submit());

// A page: what is drawn on it, and which panel or text is which.
const layers = all("[data-layer]");
for (const box of layers) {
  const name = `comictool-${box.dataset.layer}`;
  const layer = one(`.layer.${box.dataset.layer}`);
  const show = () => { layer.toggleAttribute("hidden", !box.checked); };
  const kept = localStorage.getItem(name);
  if (kept !== null) box.checked = kept === "1";
  box.addEventListener("change", () => { localStorage.setItem(name, box.checked ? "1" : "0"); show(); });
  show();
}
for (const attribute of ["step", "text"]) {
  for (const each of all(`[data-${attribute}]`)) {
    const same = all(`[data-${attribute}="${each.dataset[attribute]}"]`);
    const light = (on) => same.forEach((other) => other.classList.toggle("lit", on));
    each.addEventListener("pointerenter", () => light(true));
    each.addEventListener("pointerleave", () => light(false));
  }
}

// Reading panel by panel. In comics that are read from the right, the left key and the left half go on.
const reader = one("#reader");
if (reader) {
  const steps = all("#script li");
  const toLeft = reader.dataset.direction === "rtl";
  const shown = one("#shown");
  const ahead = new Image();
  let at = 0;
  let returnTo = null;
  const turn = (link, how) => { if (link) location.assign(`${link.getAttribute("href")}?read=${how}`); };
  const show = (number) => {
    if (number >= steps.length) { turn(one("#later"), "1"); return; }
    if (number < 0) { turn(one("#earlier"), "last"); return; }
    at = number;
    const step = steps[at];
    shown.src = step.dataset.picture;
    shown.alt = `Panel ${at + 1}`;
    one("#words").textContent = step.textContent;
    one("#count").textContent = `${at + 1} / ${steps.length}`;
    one("#back").disabled = at === 0 && !one("#earlier");
    one("#forth").disabled = at === steps.length - 1 && !one("#later");
    if (at + 1 < steps.length) ahead.src = steps[at + 1].dataset.picture;
  };
  const open = (number) => {
    returnTo = document.activeElement;
    if (!reader.open) reader.showModal();
    show(number);
    one("#forth").focus();
  };
  const go = (event) => {
    if (isTyping(event)) return;
    const on = toLeft ? "ArrowLeft" : "ArrowRight";
    const back = toLeft ? "ArrowRight" : "ArrowLeft";
    const isButton = event.target.closest("button") && reader.open;
    if (reader.open) {
      if ([on, "ArrowDown", "PageDown"].includes(event.key) || (event.key === " " && !isButton)) show(at + 1);
      else if ([back, "ArrowUp", "PageUp"].includes(event.key)) show(at - 1);
      else if (event.key === "Home") show(0);
      else if (event.key === "End") show(steps.length - 1);
      else return;
      event.preventDefault();
    } else if (event.key === on || event.key === "n") one("#later")?.click();
    else if (event.key === back || event.key === "p") one("#earlier")?.click();
    else if (event.key === "r") open(0);
  };
  addEventListener("keydown", go);
  one("#read").addEventListener("click", () => open(0));
  for (const button of all("[data-read]")) button.addEventListener("click", () => open(Number(button.dataset.read) - 1));
  one("#back").addEventListener("click", () => show(at - 1));
  one("#forth").addEventListener("click", () => show(at + 1));
  one("#close").addEventListener("click", () => reader.close());
  one("#hush").addEventListener("click", (event) => {
    const on = event.currentTarget.getAttribute("aria-pressed") !== "true";
    event.currentTarget.setAttribute("aria-pressed", String(on));
    one("#words").hidden = !on;
  });
  reader.addEventListener("close", () => {
    history.replaceState(null, "", location.pathname);
    returnTo?.focus?.();
  });
  // A tap goes on or back by the half of the screen, and so does a swipe.
  let from = null;
  shown.addEventListener("pointerdown", (event) => { from = event.clientX; });
  shown.addEventListener("pointerup", (event) => {
    if (from === null) return;
    const moved = event.clientX - from;
    from = null;
    const isLeft = Math.abs(moved) > 40 ? moved > 0 : event.clientX < innerWidth / 2;
    show(isLeft === toLeft ? at + 1 : at - 1);
  });
  shown.addEventListener("dragstart", (event) => event.preventDefault());
  const asked = new URLSearchParams(location.search).get("read");
  if (asked) open(asked === "last" ? steps.length - 1 : 0);
}
