// Elements and figures. Text is only ever set as text: what tags, models and ids say was
// written by others.

export const byId = (id) => document.getElementById(id);

const svgNames = new Set(["svg", "path", "rect", "line", "text"]);

// el makes an element. Its attributes are set as such, functions as listeners; its
// children are nodes or text.
export function el(name, attributes = {}, ...children) {
  const node = svgNames.has(name) ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") node.addEventListener(key, value);
    else node.setAttribute(key, value);
  }
  node.append(...children.filter((c) => c !== undefined && c !== ""));
  return node;
}

// setText changes a text only if it is another one, so that nothing is announced twice.
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// fill makes a table's body have a row for each item, in this order. Rows that are there
// already stay the same elements, and where they are if they can, so that the focus stays
// too. make returns the row; update, if given, brings one up to date. It reports
// whether the row that had the focus has gone.
export function fill(body, items, key, make, update = () => {}) {
  const rows = new Map([...body.rows].map((row) => [row.dataset.key, row]));
  const focus = document.activeElement, wanted = new Set(items.map(key));
  let lost = false;
  for (const [name, row] of rows) {
    if (wanted.has(name)) continue;
    lost ||= row.contains(focus);
    row.remove();
  }
  let next = body.firstElementChild;
  for (const item of items) {
    let row = rows.get(key(item));
    if (!row) {
      row = make(item);
      row.dataset.key = key(item);
    }
    update(row, item);
    if (next !== null && row === next.nextElementSibling) { // that one comes later
      next.remove();
      next = row;
    }
    if (row === next) next = next.nextElementSibling;
    else body.insertBefore(row, next);
  }
  if (!lost && focus !== document.activeElement && document.contains(focus)) focus.focus(); // its row was moved
  return lost;
}

// cards shows figures: each has a name, a value, what it is of, and maybe a class, a word
// that says what the class's colour does, and the exact value.
export function cards(list, all) {
  if (list.children.length !== all.length) {
    list.replaceChildren(...all.map(({ name }) => el("div", {}, el("dt", {}, name), el("dd", { class: "value" }), el("dd", { class: "more" }, el("b"), el("span")))));
  }
  all.forEach(({ value, more, kind = "", word = "", exact }, i) => {
    const [, dd, under] = list.children[i].children;
    if (list.children[i].className !== kind) list.children[i].className = kind;
    setText(dd, value);
    setText(under.firstChild, word);
    setText(under.lastChild, more);
    if (exact !== undefined) dd.title = `$${exact}`;
  });
}

// none says of a table that it is empty, in its place.
export function none(id, empty) {
  const p = byId(`${id}-none`);
  p.hidden = !empty;
  p.previousElementSibling.hidden = empty;
}

const grouped = new Intl.NumberFormat("en-US");
export const count = (n) => grouped.format(n);

export const plural = (n, one) => `${count(n)} ${n === 1 ? one : `${one}s`}`;

// money writes a decimal string of US dollars as people read it; the exact one goes
// into a title.
export function money(text) {
  const n = Number(text);
  const digits = n !== 0 && Math.abs(n) < 100 ? 4 : 2;
  const sign = n < 0 ? "−" : "";
  if (n !== 0 && Math.abs(n) < 0.00005) return n < 0 ? ">−$0.0001" : "<$0.0001";
  return `${sign}$${Math.abs(n).toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits })}`;
}

export function duration(seconds) {
  const s = Math.max(0, seconds);
  if (s < 10) return `${s.toFixed(1)}\u00a0s`; // breaks no line
  if (s < 60) return `${Math.floor(s)}\u00a0s`;
  if (s < 3600) return `${Math.floor(s / 60)}\u00a0min ${Math.floor(s % 60)}\u00a0s`;
  return `${Math.floor(s / 3600)}\u00a0h ${Math.floor((s % 3600) / 60)}\u00a0min`;
}

// Times are UTC, as in audits, in names of incidents and on the command line.
export const clock = (at) => new Date(at).toISOString().slice(11, 19);

export const stamp = (at) => new Date(at).toISOString().slice(0, 19).replace("T", " ");

// mark is a square of a colour, in a legend.
export const mark = (name) => el("svg", { viewBox: "0 0 10 10", "aria-hidden": "true" }, el("rect", { width: 10, height: 10, class: `fill-${name}` }));

// short is the end of a stream's id: its beginning is the time, alike for neighbours.
export const short = (id) => `…\u2060${id.slice(-12)}`; // breaks no line

export const tags = (all = {}) => Object.keys(all).sort().map((name) => el("span", { class: "tag" }, `${name}=${all[name]}`));
