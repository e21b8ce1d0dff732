// The list of clips: search, filter, order, and how much of it there is.
const cards = data.cards;
const list = document.getElementById("cards");
const tools = document.querySelector(".tools");
const control = (id) => document.getElementById(id);
const FIRST = matchMedia("(max-width: 720px)").matches ? 3 : 6;
const FURTHER = 100;
let most = FIRST;

// The windows of a film, and the captions of a window, stand together where the first was written.
const films = new Map();
const filmOf = (card) => films.get(card.path || card.source);
const countFilms = (from) => {
  for (let number = from; number < cards.length; number += 1) {
    const key = cards[number].path || cards[number].source;
    const film = films.get(key) ?? { first: number, cards: 0, starts: new Set() };
    film.cards += 1;
    film.starts.add(cards[number].window[0] ?? 0);
    films.set(key, film);
  }
};
countFilms(0);
const byFilm = (a, b) => filmOf(a).first - filmOf(b).first || (a.window[0] ?? 0) - (b.window[0] ?? 0);

// Cards are made as they come near the screen, and unmade when they are far from it.
const sounds = new Map();
const fill = (item, number) => {
  const card = cards[number];
  const isInFilm = item.classList.contains("in-film");
  const article = make("article", "card", heading(card, filmOf(card).starts.size > 1, isInFilm));
  const sound = card.code ? failed(card, article, isInFilm) : captioned(card, number, article, isInFilm);
  if (sound) sounds.set(number, sound);
  item.replaceChildren(article);
  item.style.minHeight = "";
};
const empty = (item, number) => {
  sounds.get(number)?.end();
  sounds.delete(number);
  item.replaceChildren();
};
const clear = (item, number) => {
  if (sounds.get(number)?.isPlaying() || item.contains(document.activeElement)) return;
  const height = item.offsetHeight;
  empty(item, number);
  item.style.minHeight = `${height}px`;
};
const watch = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    const number = Number(target.dataset.number);
    if (isIntersecting && !target.firstChild) fill(target, number);
    else if (!isIntersecting && target.firstChild) clear(target, number);
  }
}, { rootMargin: "900px 0px" });
const items = [];
const itemOf = (number, isInFilm) => {
  let item = items[number];
  if (!item) {
    item = make("li");
    item.dataset.number = String(number);
    if (cards[number].id) item.id = `clip-${anchorOf(cards[number])}`;
    items[number] = item;
    watch.observe(item);
  }
  if (item.classList.contains("in-film") !== isInFilm) {
    item.classList.toggle("in-film", isInFilm);
    if (item.firstChild) fill(item, number);
  }
  return item;
};
const filmHeading = (card) => {
  const { cards: all, starts } = filmOf(card);
  const clips = starts.size > 1 ? `${whole(starts.size)} clips` : `${whole(all)} captions of one clip`;
  const length = known(card.film_s) ? `, ${clock(card.film_s)} long` : "";
  const head = make("li", "film", make("h3", "", isolated(card.source || "(no name)")), make("span", "soft", clips + length));
  if (card.path) head.append(make("span", "soft path", isolated(card.path), " ", copyButton("path", card.path)));
  return head;
};
const rowsOf = (numbers, isByFilm) => {
  const rows = [];
  let last = null;
  for (const number of numbers) {
    const film = filmOf(cards[number]);
    const isInFilm = isByFilm && film.cards > 1;
    if (isInFilm && film !== last) rows.push(filmHeading(cards[number]));
    last = film;
    rows.push(itemOf(number, isInFilm));
  }
  return rows;
};

// Search, filter, order.
const haystacks = [];
const haystack = (number) => {
  const card = cards[number];
  haystacks[number] ??= [card.source, card.path, card.caption, card.code, card.detail, card.deployment, card.id, card.request]
    .filter(Boolean).join("\n").toLowerCase();
  return haystacks[number];
};
const isFlagged = (card) => card.flags.some((flag) => !HARMLESS.has(flag));
const kinds = {
  all: () => true,
  flagged: isFlagged,
  captioned: (card) => !card.code,
  failed: (card) => Boolean(card.code),
  "with sound": (card) => Boolean(card.media?.audio_bytes),
};
const orders = {
  time: byFilm,
  slow: (a, b) => (b.total_s ?? -1) - (a.total_s ?? -1),
  name: (a, b) => (a.source < b.source ? -1 : Number(a.source > b.source) || byFilm(a, b)),
  long: (a, b) => (b.chars ?? -1) - (a.chars ?? -1),
};
let chosen = [];
const choose = () => {
  const words = control("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  const [kind, flag] = [control("flag").value, control("flag").value.replace(/^flag: /, "")];
  const isKind = kinds[kind] ?? ((card) => card.flags.includes(flag));
  const code = control("code").value;
  chosen = [];
  cards.forEach((card, number) => {
    if (isKind(card) && (!code || card.code === code) && words.every((word) => haystack(number).includes(word))) {
      chosen.push(number);
    }
  });
  const order = orders[control("order").value];
  if (order) chosen.sort((a, b) => order(cards[a], cards[b]) || a - b);
};
const show = () => {
  const isByFilm = ["time", "name"].includes(control("order").value);
  list.replaceChildren(...rowsOf(chosen.slice(0, most), isByFilm));
  if (!chosen.length) list.append(make("li", "empty", "No clip is like that."));
  control("count").textContent = `${whole(chosen.length)} of ${whole(cards.length)}`;
  const left = chosen.length - most;
  control("more").hidden = left <= 0;
  control("more").textContent = left > FURTHER
    ? `show ${FURTHER} more of ${whole(left)}` : `show ${whole(left)} more`;
};
const chooseAndShow = () => { choose(); show(); };

const offer = (select, value, text) => {
  const option = make("option", "", text);
  option.value = value;
  select.append(option);
};
const tally = (values) => {
  const counts = new Map();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1]);
};
const offerAll = () => {
  const values = ["flag", "code"].map((id) => control(id).value);
  for (const id of ["flag", "code"]) control(id).replaceChildren();
  for (const [name, test] of Object.entries(kinds)) {
    const count = cards.filter(test).length;
    if (count || name === "all") offer(control("flag"), name, `${name} (${whole(count)})`);
  }
  for (const [flag, count] of tally(cards.flatMap((card) => card.flags))) {
    offer(control("flag"), `flag: ${flag}`, `${flag} (${whole(count)})`);
  }
  offer(control("code"), "", "any");
  for (const [code, count] of tally(cards.map((card) => card.code).filter(Boolean))) {
    offer(control("code"), code, `${code} (${whole(count)})`);
  }
  ["flag", "code"].forEach((id, at) => { control(id).value = values[at] || (id === "flag" ? "all" : ""); });
};
let typed = 0;
control("search").addEventListener("input", () => {
  clearTimeout(typed);
  typed = setTimeout(chooseAndShow, 120);
});
for (const id of ["flag", "code", "order"]) control(id).addEventListener("change", chooseAndShow);
control("more").addEventListener("click", () => {
  most += FURTHER;
  show();
});
tools.addEventListener("submit", (event) => event.preventDefault());

const seek = () => {
  for (const other of list.querySelectorAll(".is-sought")) other.classList.remove("is-sought");
  const id = location.hash.startsWith("#clip-") ? location.hash.slice("#clip-".length) : "";
  const number = id ? cards.findIndex((card) => card.id === id || anchorOf(card) === id) : -1;
  if (number < 0) return;
  if (!chosen.includes(number)) {
    for (const name of ["search", "code"]) control(name).value = "";
    control("flag").value = "all";
    choose();
  }
  most = Math.max(most, chosen.indexOf(number) + 1);
  show();
  items[number].classList.add("is-sought");
  items[number].scrollIntoView();
  // The cards above it get their true heights only now.
  setTimeout(() => items[number].scrollIntoView(), 80);
};
addEventListener("hashchange", seek);

// The text of the clips without pictures is unpacked once the first rows are there.
const unpacked = async (base64) => {
  const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  const lines = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const text = await new Response(lines).text();
  return text.split("\n").filter(Boolean).map((line) => JSON.parse(line));
};
const takeTexts = async (base64) => {
  try {
    const from = cards.length;
    for (const card of await unpacked(base64)) cards.push(card);
    countFilms(from);
    offerAll();
    chooseAndShow();
    if (!list.querySelector(".is-sought")) seek();
  } catch {
    control("unread").hidden = false;
  }
};
tools.hidden = false;
offerAll();
chooseAndShow();
seek();
const texts = read("texts");
if (texts) setTimeout(() => takeTexts(texts));
