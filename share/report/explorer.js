"use strict";
// Data: columns as [key, heading, kind], short names of checks, and a list of values per configuration.
const {columns: COLUMNS, labels: LABELS, rows: DATA} = JSON.parse(document.getElementById("data").textContent);
const rows = DATA.map((values, i) => Object.fromEntries([["i", i], ...COLUMNS.map(([key], k) => [key, values[k]])]));
for (const r of rows) r.problem = [...new Set(r.why.map(reason => reason.split(":")[0]))];

const $ = id => document.getElementById(id);
const all = selector => [...document.querySelectorAll(selector)];
const text = v => v === null || v === undefined ? "" : String(v);
const escape = v => text(v).replace(/[&<>"']/g, c => `&#${c.charCodeAt()};`);
const number = v => v === null ? "" : Math.abs(v) >= 1000 ? Math.round(v).toLocaleString("en") : String(+v.toPrecision(3));
const ordered = values => [...new Set(values)].sort((a, b) => typeof a === "number" && typeof b === "number" ? a - b : text(a) < text(b) ? -1 : 1);
const heading = key => COLUMNS.find(c => c[0] === key)[1];
const plural = (n, noun) => `${n} ${noun}${n === 1 ? "" : "s"}`;
const describe = r => [r.mode, r.reader, r.cache, r.engine, plural(r.ranks, "rank"), `batch ${r.batch}`, r.threads && plural(r.threads, "thread"), r.chunks > 1 && plural(r.chunks, "chunk")].filter(Boolean).join(", ")
  + `: ${number(r.rate)} samples/s (${number(r.low)}–${number(r.high)})` + (r.gb ? `, ${number(r.gb)} GB/s` : "") + (r.state === "VALID" ? "" : ", INVALID");

// ---- controls, and the address that keeps them
const sets = COLUMNS.filter(c => c[2] === "set").map(([key]) => [key, heading(key), ordered(rows.map(r => r[key]).filter(v => v !== null))]).filter(s => s[2].length > 1);
const axes = sets.map(([key, words]) => [key, words]);
const problems = ordered(rows.flatMap(r => r.problem));
if (problems.length) sets.push(["problem", "Problem", problems]);
$("boxes").innerHTML = sets.map(([key, words, values]) => `<fieldset><legend>${words}</legend>${values.map(v =>
  `<label><input type="checkbox" name="${key}" value="${escape(v)}">${escape(key === "problem" ? LABELS[v] ?? v : v)}</label>`).join("")}</fieldset>`).join("");

const many = key => (sets.find(s => s[0] === key) || [0, 0, []])[2].length;
const options = (id, list, first) => { $(id).innerHTML = list.map(([v, t]) => `<option value="${v}">${t}</option>`).join(""); $(id).value = first; };
const choices = axes.length ? axes : [["mode", "Mode"]];
options("y", COLUMNS.filter(c => c[2] === "number" && !["low", "high"].includes(c[0]) && rows.some(r => r[c[0]] !== null)), rows.some(r => r.gb !== null) ? "gb" : "rate");
options("x", choices, many("threads") > 2 ? "threads" : many("reader") > 1 ? "reader" : choices[0][0]);
options("colour", [["", "none"], ...choices], many("threads") > 2 && many("reader") > 1 ? "reader" : many("threads") > 1 ? "threads" : many("engine") > 1 ? "engine" : "");
options("panel", [["", "none"], ...choices], many("cache") > 1 ? "cache" : "");

const SELECTS = ["x", "y", "colour", "panel"], SWITCHES = ["log", "own", "lines"];
const DEFAULTS = Object.fromEntries([...SELECTS.map(id => [id, $(id).value]), ...SWITCHES.map(id => [id, $(id).checked])]);
let sort = ["rate", -1], chosen = null, shown = [];

function restore() {
  const wanted = new URLSearchParams(location.hash.slice(1));
  for (const box of all("#boxes input")) box.checked = wanted.getAll(box.name).includes(box.value);
  for (const id of SELECTS) {
    $(id).value = wanted.get("_" + id) ?? DEFAULTS[id];
    if ($(id).selectedIndex < 0) $(id).value = DEFAULTS[id];
  }
  for (const id of SWITCHES) $(id).checked = wanted.has("_" + id) ? wanted.get("_" + id) === "1" : DEFAULTS[id];
  $("search").value = wanted.get("_search") ?? "";
  const [key, way] = (wanted.get("_sort") ?? "").split(" ");
  sort = COLUMNS.some(c => c[0] === key) ? [key, way === "up" ? 1 : -1] : ["rate", -1];
  if (![...wanted.keys()].length) all('#boxes input[name="mode"][value="I/O-only"]').forEach(box => box.checked = true);
}
function keep() {
  const state = new URLSearchParams(all("#boxes input:checked").map(box => [box.name, box.value]));
  for (const id of SELECTS) state.append("_" + id, $(id).value);
  for (const id of SWITCHES) if ($(id).checked !== DEFAULTS[id]) state.append("_" + id, $(id).checked ? "1" : "0");
  if ($("search").value) state.append("_search", $("search").value);
  if (sort[0] !== "rate" || sort[1] !== -1) state.append("_sort", `${sort[0]} ${sort[1] > 0 ? "up" : "down"}`);
  history.replaceState(null, "", "#" + state);
}

// ---- filter: one of the values of each ticked column
function filtered() {
  const wanted = {};
  for (const box of all("#boxes input:checked")) (wanted[box.name] ||= new Set()).add(box.value);
  const tests = Object.entries(wanted), needle = $("search").value.toLowerCase();
  return rows.filter(r => tests.every(([key, values]) => key === "problem" ? r.problem.some(p => values.has(p)) : values.has(text(r[key])))
    && (!needle || COLUMNS.some(([key]) => text(r[key]).toLowerCase().includes(needle))));
}

// ---- chart: panels side by side. One path has all marks of a colour, so that thousands are fast; `marks` knows their places.
const COLOURS = ["#0072b2", "#c84e00", "#009e73", "#b0568c", "#b37d00", "#3b9ddd", "#6b7480", "#7a5195", "#8c564b", "#2f8f2f"];
const SHAPES = ["m-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0", "m-4-4h8v8h-8z", "m0-5l5 9h-10z", "m0-5.6l5.6 5.6l-5.6 5.6l-5.6-5.6z"];
const colourOf = n => COLOURS[n % COLOURS.length];
const shape = (n, x, y) => `M${x} ${y}${SHAPES[Math.floor(n / 3) % 4]}`;
const path = (n, hollow, d, more = "") => `<path d="${d}" stroke="${colourOf(n)}" fill="${hollow ? "var(--page)" : colourOf(n)}"${more}/>`;
let marks = [];
const nice = most => {
  const raw = most / 5, power = 10 ** Math.floor(Math.log10(raw)), step = [1, 2, 5, 10].find(s => s * power >= raw * .999) * power;
  return Array.from({length: Math.floor(most / step + 1e-9) + 1}, (_, k) => +(k * step).toPrecision(6));
};
const decades = (least, most) => {
  let ticks = [];
  for (const steps of [[1], [1, 3], [1, 2, 5], [1, 1.5, 2, 3, 5, 7]]) {
    ticks = [];
    for (let d = Math.floor(Math.log10(least)); d <= Math.log10(most); d++) ticks.push(...steps.map(s => +(s * 10 ** d).toPrecision(3)));
    ticks = ticks.filter(v => v >= least && v <= most);
    if (ticks.length >= 4) break;
  }
  return ticks;
};
function ends(r, y) {
  const scale = y === "rate" ? 1 : y === "gb" ? r.gb / r.rate : null;
  return scale ? [r.low * scale, r.high * scale] : null;
}
function chart() {
  const y = $("y").value, x = $("x").value, colour = $("colour").value, panel = $("panel").value, logarithmic = $("log").checked;
  const usable = shown.filter(r => r[y] !== null && r[x] !== null && !(logarithmic && r[y] <= 0));
  marks = [];
  if (!usable.length) { $("chart").innerHTML = "<p>Nothing matches the filters.</p>"; $("legend").innerHTML = ""; return; }
  const values = key => key ? ordered(usable.map(r => r[key])) : [null];
  const xs = values(x), colours = values(colour), panels = values(panel), place = new Map(xs.map((v, k) => [v, k])), hue = new Map(colours.map((v, k) => [v, k]));
  const width = $("chart").clientWidth, left = 48, gap = 14, top = 24, bottom = 266, height = 300;
  const columns = Math.max(1, Math.min(panels.length, Math.floor(width / 230))), span = (width - columns * left - gap * (columns - 1) - 4) / columns;
  const step = span / xs.length, dodge = colours.length > 1 && colour !== x ? Math.min(step * .7 / colours.length, 9) : 0;
  const every = Math.ceil(Math.max(...xs.map(v => text(v).length)) * 6.6 / step);
  let out = "";
  panels.forEach((p, k) => {
    const here = panel ? usable.filter(r => r[panel] === p) : usable;
    let least = Infinity, most = 1e-9;
    for (const r of $("own").checked ? here : usable) for (const v of ends(r, y) ?? [r[y]]) { if (v > 0) least = Math.min(least, v); most = Math.max(most, v); }
    const at = v => (logarithmic ? bottom - 4 - Math.log(Math.max(v, least) / least) / (Math.log(most / least) || 1) * (bottom - top - 4) : bottom - v / most * (bottom - top)).toFixed(1);
    const start = left + k % columns * (span + gap + left), shift = Math.floor(k / columns) * height;
    const across = r => (start + step * (place.get(r[x]) + .5) + (hue.get(colour ? r[colour] : null) - (colours.length - 1) / 2) * dodge).toFixed(1);
    out += `<g transform="translate(0 ${shift})"><text class="title" x="${start}" y="12">${panel ? escape(p ?? "none") : ""}</text>`;
    for (const t of logarithmic ? decades(least, most) : nice(most)) out += `<line class="grid" x1="${start}" x2="${start + span}" y1="${at(t)}" y2="${at(t)}"/><text x="${start - 6}" y="${+at(t) + 4}" text-anchor="end">${t.toLocaleString("en")}</text>`;
    xs.forEach((v, j) => { if (j % every === 0) out += `<text x="${start + step * (j + .5)}" y="${bottom + 15}" text-anchor="middle">${escape(v)}</text>`; });
    const intervals = new Map(), best = new Map(), drawn = {VALID: new Map(), INVALID: new Map()};
    for (const r of here) {
      const n = hue.get(colour ? r[colour] : null), e = ends(r, y), key = `${n} ${place.get(r[x])}`;
      if (e) intervals.set(n, (intervals.get(n) ?? "") + `M${across(r)} ${at(e[0])}V${at(e[1])}`);
      const spot = [across(r), at(r[y])];
      marks.push({i: r.i, n, x: +spot[0], y: +spot[1] + shift});
      drawn[r.state].set(n, (drawn[r.state].get(n) ?? "") + shape(n, ...spot));
      if (r.state === "VALID" && !(best.get(key)?.rate >= r.rate)) best.set(key, r);
    }
    for (const [n, d] of intervals) out += `<path class="interval" stroke="${colourOf(n)}" d="${d}"/>`;
    if ($("lines").checked && typeof xs[0] === "number") colours.forEach((_, n) => {
      const points = xs.map((_, j) => best.get(`${n} ${j}`)).filter(Boolean).map(r => `${across(r)},${at(r[y])}`);
      out += `<polyline fill="none" stroke="${colourOf(n)}" stroke-opacity=".6" points="${points.join(" ")}"/>`;
    });
    for (const [state, paths] of Object.entries(drawn)) for (const [n, d] of paths) out += path(n, state === "INVALID", d);
    out += "</g>";
  });
  const total = Math.ceil(panels.length / columns) * height;
  $("chart").innerHTML = `<svg height="${total}" viewBox="0 0 ${width} ${total}"><text x="0" y="12">${heading(y)}</text>${out}<text x="${left}" y="${total - 3}">${heading(x)}</text><g id="on"></g></svg>`;
  showChosen();
  $("legend").innerHTML = colour ? colours.map((c, n) => `<span><svg width="12" height="12" viewBox="-7 -7 14 14">${path(n, false, shape(n, 0, 0))}</svg>${escape(c ?? "none")}</span>`).join("") : "";
}
function showChosen() {
  const m = marks.find(m => m.i === chosen);
  if ($("on")) $("on").innerHTML = m ? path(m.n, rows[m.i].state !== "VALID", shape(m.n, m.x, m.y), ' class="on"') : "";
}
function nearest(e) {
  const box = $("chart").getBoundingClientRect(), away = m => (m.x - e.clientX + box.left) ** 2 + (m.y - e.clientY + box.top) ** 2;
  const m = marks.reduce((best, m) => best && away(best) <= away(m) ? best : m, null);
  return m && away(m) <= 144 ? m : null;
}

// ---- table: rows are added as one scrolls, so that thousands are fast
const PAGE = 150;
const cells = COLUMNS.filter(([key, , kind]) => !["low", "high"].includes(key) && (kind === "reasons" ? problems.length : new Set(rows.map(r => r[key]).filter(v => v !== null)).size > 1 || key === "rate"));
$("head").innerHTML = cells.map(([key, words, kind]) => `<th scope="col" data-key="${key}"${kind === "number" ? ' class="n"' : ""}><button type="button">${words}</button></th>`
  + (key === "rate" ? '<th scope="col" class="n plain">interval</th>' : "")).join("");
const tableRow = r => `<tr data-i="${r.i}" tabindex="-1"${r.i === chosen ? ' class="on" aria-selected="true"' : ""}>` + cells.map(([key, , kind]) =>
  kind === "number" ? `<td class="n">${number(r[key])}</td>` + (key === "rate" ? `<td class="n soft">${number(r.low)}–${number(r.high)}</td>` : "")
  : kind === "reasons" ? `<td class="soft">${r.problem.map(p => escape(LABELS[p] ?? p)).join(", ")}</td>`
  : `<td class="${key === "state" ? r.state : typeof r[key] === "number" ? "n" : ""}">${escape(r[key])}</td>`).join("") + "</tr>";
function grow(least) {
  const drawn = $("body").rows.length;
  if (drawn < Math.min(least, shown.length)) $("body").insertAdjacentHTML("beforeend", shown.slice(drawn, Math.ceil(least / PAGE) * PAGE).map(tableRow).join(""));
}
function table() {
  const [key, way] = sort;
  const value = r => key === "why" ? r.problem.join() || null : r[key];
  shown.sort((a, b) => (value(a) === null) - (value(b) === null) || (value(a) < value(b) ? -way : value(a) > value(b) ? way : a.i - b.i));
  for (const th of $("head").children) th.dataset.key === key ? th.setAttribute("aria-sort", way > 0 ? "ascending" : "descending") : th.removeAttribute("aria-sort");
  $("body").innerHTML = "";
  grow(PAGE);
  $("body").rows[0]?.setAttribute("tabindex", "0");
  $("scroll").scrollTop = 0;
  $("count").textContent = `${shown.length} of ${plural(rows.length, "configuration")}`;
}
function choose(i, scroll) {
  chosen = i;
  $("chosen").textContent = [describe(rows[i]), ...rows[i].why].join(". ");
  if (scroll) grow(shown.findIndex(r => r.i === i) + 1);
  showChosen();
  for (const e of all("tr.on")) { e.classList.remove("on"); e.removeAttribute("aria-selected"); }
  const row = document.querySelector(`#body [data-i="${i}"]`);
  row?.classList.add("on");
  row?.setAttribute("aria-selected", "true");
  if (scroll) row?.scrollIntoView({block: "center"});
}
function focusRow(row) {
  if (!row) return;
  for (const e of all('#body [tabindex="0"]')) e.tabIndex = -1;
  row.tabIndex = 0;
  row.focus();
}
function update() { shown = filtered(); table(); chart(); }
function change() { update(); keep(); }

document.querySelector("form").addEventListener("input", change);
document.querySelector("form").addEventListener("submit", e => e.preventDefault());
document.querySelector("form").addEventListener("reset", () => setTimeout(change));
for (const id of [...SELECTS, ...SWITCHES, "search"]) $(id).addEventListener("input", change);
$("head").addEventListener("click", e => {
  const key = e.target.closest("th").dataset.key;
  if (key) { sort = [key, sort[0] === key ? -sort[1] : 1]; table(); keep(); }
});
$("chart").addEventListener("click", e => { const m = nearest(e); if (m) choose(m.i, true); });
$("chart").addEventListener("mousemove", e => {
  const m = nearest(e);
  $("chart").title = m ? describe(rows[m.i]) : "";
  $("chart").classList.toggle("pick", m !== null);
});
$("body").addEventListener("click", e => { const row = e.target.closest("tr"); if (row) { focusRow(row); choose(+row.dataset.i, false); } });
$("body").addEventListener("keydown", e => {
  const row = e.target.closest("tr"), move = {ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling"}[e.key];
  if (move) { grow(row.rowIndex + 2); focusRow(row[move]); e.preventDefault(); }
  if (e.key === "Enter" || e.key === " ") { choose(+row.dataset.i, false); e.preventDefault(); }
});
$("scroll").addEventListener("scroll", e => { if (e.target.scrollTop + 2 * e.target.clientHeight > e.target.scrollHeight) grow($("body").rows.length + 1); });
$("csv").addEventListener("click", () => {
  const quote = v => /[",\r\n]/.test(v) ? `"${v.replaceAll('"', '""')}"` : v, safe = v => typeof v === "string" && /^[=+@-]/.test(v) ? "'" + v : text(v);
  const lines = [COLUMNS.map(c => c[0]), ...shown.map(r => COLUMNS.map(([key]) => key === "why" ? r.why.join("; ") : r[key]))];
  const file = new Blob([lines.map(line => line.map(v => quote(safe(v))).join(",")).join("\n") + "\n"], {type: "text/csv"}), link = document.createElement("a");
  link.download = "selection.csv";
  link.href = URL.createObjectURL(file);
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
});
addEventListener("hashchange", () => { restore(); update(); });
addEventListener("resize", chart);
$("filters").open = innerWidth > 832;
restore();
update();
