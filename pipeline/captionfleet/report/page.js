"use strict";
// Everything here that comes from a clip goes into the page as text, never as markup.
(() => {
  const read = (id) => {
    const block = document.getElementById(id);
    return block ? JSON.parse(block.textContent) : null;
  };
  const data = read("data");
  const cards = data.cards;
  const meanings = new Map(Object.entries(data.meanings));
  const list = document.getElementById("cards");
  const tools = document.querySelector(".tools");
  const control = (id) => document.getElementById(id);
  const SHOWN_CHARS = 700;
  const HARMLESS = new Set(["cut_to_window", "retried", "silent"]);
  const SVG = "http://www.w3.org/2000/svg";

  const make = (tag, className, ...children) => {
    const node = document.createElement(tag);
    if (className) node.className = className;
    node.append(...children);
    return node;
  };
  const shape = (tag, attributes, ...children) => {
    const node = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    node.append(...children);
    return node;
  };
  const isolated = (text) => {
    const node = make("bdi", "name", text);
    node.dir = "auto";
    return node;
  };

  // Figures, as above in the page.
  const known = (value) => value !== null && value !== undefined;
  const whole = (value) => (known(value) ? Math.round(value).toLocaleString("en") : "–");
  const seconds = (value) => {
    if (!known(value)) return "–";
    if (value < 1) return `${(value * 1000).toFixed(value < 0.01 ? 1 : 0)} ms`;
    if (value < 60) return `${value.toFixed(value < 10 ? 2 : 1)} s`;
    return `${Math.floor(value / 60)} min ${Math.floor(value % 60)} s`;
  };
  const size = (value) => {
    if (!known(value)) return "–";
    if (value >= 999_500) return `${Number((value / 1e6).toPrecision(3))} MB`;
    return value >= 1e3 ? `${(value / 1e3).toPrecision(3)} kB` : `${value} B`;
  };
  const clock = (value) => {
    const all = Math.max(0, Math.round(value));
    return `${Math.floor(all / 60)}:${String(all % 60).padStart(2, "0")}`;
  };

  // A card, part by part.
  const pill = (text, kind, title) => {
    const node = make("span", kind ? `pill ${kind}` : "pill", text);
    if (title) node.title = title;
    return node;
  };
  // The windows of a film stand together, in their order, where the first of them was written.
  const films = new Map();
  cards.forEach((card, number) => {
    const film = films.get(card.film) ?? { first: number, windows: 0 };
    film.windows += 1;
    films.set(card.film, film);
  });
  const byFilm = (a, b) => films.get(a.film).first - films.get(b.film).first
    || (a.window[0] ?? 0) - (b.window[0] ?? 0);
  const windowWords = (card) => {
    const [start, end] = card.window;
    if (!known(start) || !known(end) || (start === 0 && films.get(card.film).windows === 1)) return "";
    return `${clock(start)}–${clock(end)}`;
  };
  const heading = (card) => {
    const link = make("a", "", isolated(card.source || "(no name)"));
    if (card.id) link.href = `#clip-${card.id}`;
    const head = make("header", "", make("h3", "", link));
    if (windowWords(card)) head.append(pill(windowWords(card), "", "this window of the film"));
    if (card.code) head.append(pill(card.code, "is-bad"));
    for (const flag of card.flags) {
      head.append(pill(flag, HARMLESS.has(flag) ? "" : "is-warn", meanings.get(flag)));
    }
    if (card.at) head.append(make("span", "when", `${card.at.replace("T", " ").slice(0, 19)} UTC`));
    return head;
  };
  const captionOf = (card) => {
    const text = make("p", "caption");
    text.dir = "auto";
    const box = make("div", "", text);
    if (card.caption.length <= SHOWN_CHARS) {
      text.textContent = card.caption;
      return box;
    }
    text.textContent = `${card.caption.slice(0, SHOWN_CHARS)}…`;
    const more = make("button", "plain", `show all ${whole(card.chars)} characters`);
    more.type = "button";
    more.addEventListener("click", () => {
      text.textContent = card.caption;
      text.classList.add("is-whole");
      const cut = card.chars - card.caption.length;
      more.replaceWith(cut > 0 ? `… and ${whole(cut)} more in captions.jsonl` : "");
    });
    box.append(more);
    return box;
  };
  const factsOf = (rows) => {
    const facts = make("dl", "facts");
    for (const [name, ...values] of rows) facts.append(make("dt", "", name), make("dd", "", ...values));
    return facts;
  };
  const stageBar = (card) => {
    const bar = make("span", "bar-of");
    card.stages.forEach((value, at) => {
      if (!value) return;
      const part = make("i", `s-${data.stages[at].replace(" ", "-")}`);
      part.style.flexGrow = String(value);
      bar.append(part);
    });
    bar.title = data.stages.map((name, at) => `${name} ${seconds(card.stages[at])}`).join(", ");
    return bar;
  };
  const sentWords = (media) => {
    const parts = [`${whole(media.frames)} frames of ${media.width}×${media.height}`, media.sampling];
    if (known(media.crf)) parts.push(`CRF ${media.crf}`);
    if (media.padded_frames) parts.push(`${media.padded_frames} repeated`);
    parts.push(size(media.video_bytes));
    if (media.audio_bytes) parts.push(`sound ${seconds(media.audio_s)}, ${size(media.audio_bytes)}`);
    return parts.join(", ");
  };
  const sourceWords = (media) => {
    const parts = [media.source_codec, `${media.source_width}×${media.source_height}`];
    if (media.source_s) parts.push(seconds(media.source_s));
    if (media.rotation_deg) parts.push(`turned ${media.rotation_deg}°`);
    return parts.join(", ");
  };
  const damageWords = (media) => [
    `${whole(media.packets_lost)} packet${media.packets_lost === 1 ? "" : "s"} lost`, `${Math.floor((media.coverage ?? 1) * 100)} % of the frames there`,
    `${whole(media.frozen_frames)} frozen`, `${whole(media.doubtful_frames)} doubtful`,
  ].join(", ");
  const captionedFacts = (card) => {
    const [prompt, completion, cached] = card.tokens;
    const rows = [
      ["sent", sentWords(card.media)],
      ["source", sourceWords(card.media)],
      ["answer", isolated(card.deployment), `, ${card.finish}, ${whole(prompt)} tokens in, ${whole(completion)} out`
        + (cached ? `, ${whole(cached)} cached` : "") + (card.attempts > 1 ? `, ${whole(card.attempts)} requests` : "")],
    ];
    if (card.flags.includes("damaged")) rows.push(["damage", damageWords(card.media)]);
    rows.push(["time", `${seconds(card.total_s)}`, stageBar(card)]);
    return factsOf(rows);
  };

  const sheetOf = (card, media, article) => {
    const image = make("img");
    image.src = `data:image/webp;base64,${media.sheet}`;
    image.width = media.width;
    image.height = media.height;
    const count = card.media.frames;
    image.alt = `The ${whole(count)} frames that were sent, in rows from left to right`;
    const readout = make("p", "readout", `${whole(count)} frames, as sent`);
    const button = make("button", "", image);
    button.type = "button";
    button.title = "larger or smaller";
    button.setAttribute("aria-pressed", "false");
    button.addEventListener("click", () => {
      button.setAttribute("aria-pressed", String(article.classList.toggle("is-wide")));
    });
    image.addEventListener("pointermove", (event) => {
      const column = Math.floor((event.offsetX / image.clientWidth) * media.columns);
      const row = Math.floor((event.offsetY / image.clientHeight) * media.rows);
      const frame = row * media.columns + column;
      if (frame < 0 || frame >= count) return;
      const time = media.times[frame];
      readout.textContent = `frame ${frame + 1} of ${count}${known(time) ? `, at ${time.toFixed(3)} s of the source` : ""}`;
    });
    image.addEventListener("pointerleave", () => { readout.textContent = `${whole(count)} frames, as sent`; });
    return make("div", "sheet", button, readout);
  };
  const wavePath = (peaks) => {
    const loudest = Math.max(10, ...peaks);
    const marks = peaks.map((peak, at) => {
      const half = Math.max(0.6, (peak / loudest) * 50);
      return `M${at} ${(50 - half).toFixed(1)}h.7V${(50 + half).toFixed(1)}h-.7z`;
    });
    return shape("path", { d: marks.join("") });
  };
  const wave = (peaks, className) => shape(
    "svg", { viewBox: `0 0 ${Math.max(1, peaks.length)} 100`, preserveAspectRatio: "none", "aria-hidden": "true", class: className },
    wavePath(peaks),
  );
  const icon = (path) => shape("svg", { viewBox: "0 0 12 12", "aria-hidden": "true" }, shape("path", { d: path }));
  const PLAY = "M2 1l9 5-9 5z";
  const LISTEN = "play the sound that was sent";
  const PAUSE = "M2 1h3v10H2zM7 1h3v10H7z";
  const blobUrl = (base64) => {
    const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
    return URL.createObjectURL(new Blob([bytes], { type: "audio/ogg" }));
  };
  const soundOf = (card, media) => {
    const played = wave(media.peaks, "played");
    played.style.clipPath = "inset(0 100% 0 0)";
    const seek = make("input");
    Object.assign(seek, { type: "range", min: 0, max: 1000, value: 0, disabled: !media.sound });
    seek.setAttribute("aria-label", "position in the sound");
    const time = make("span", "clock", seconds(card.media.audio_s));
    const play = make("button", "play", icon(PLAY));
    Object.assign(play, { type: "button", disabled: !media.sound });
    play.setAttribute("aria-label", LISTEN);
    if (!media.sound) play.title = "the sound was left out to keep this page small";
    let audio = null;
    const started = () => {
      if (audio) return audio;
      audio = new Audio(blobUrl(media.sound));
      const length = () => (Number.isFinite(audio.duration) ? audio.duration : card.media.audio_s);
      audio.addEventListener("timeupdate", () => {
        const share = Math.min(1, audio.currentTime / Math.max(length(), 0.01));
        played.style.clipPath = `inset(0 ${100 - share * 100}% 0 0)`;
        seek.value = String(Math.round(share * 1000));
        time.textContent = `${clock(audio.currentTime)} / ${clock(length())}`;
        seek.setAttribute("aria-valuetext", `${clock(audio.currentTime)} of ${clock(length())}`);
      });
      for (const [event, path, label] of [["play", PAUSE, "pause"], ["pause", PLAY, LISTEN], ["ended", PLAY, LISTEN]]) {
        audio.addEventListener(event, () => {
          play.replaceChildren(icon(path));
          play.setAttribute("aria-label", label);
        });
      }
      return audio;
    };
    play.addEventListener("click", () => {
      const sound = started();
      if (sound.paused) sound.play().catch(() => { time.textContent = "cannot be played here"; });
      else sound.pause();
    });
    seek.addEventListener("input", () => { started().currentTime = (seek.value / 1000) * card.media.audio_s; });
    const row = make("div", "sound", play, make("div", "wave", wave(media.peaks, ""), played, seek), time);
    return { row, isPlaying: () => audio !== null && !audio.paused, end: () => audio && URL.revokeObjectURL(audio.src) };
  };

  const captioned = (card, number, article) => {
    const media = read(`media-${number}`) ?? { missing: "not shown here" };
    const text = make("div", "text", captionOf(card));
    let sound = null;
    if (media.sheet) {
      article.append(sheetOf(card, media, article));
      if (media.peaks.length) {
        sound = soundOf(card, media);
        text.append(sound.row);
      }
    } else {
      article.append(make("p", "no-sheet", media.missing));
    }
    text.append(captionedFacts(card));
    article.append(text);
    return sound;
  };
  const failed = (card, article) => {
    const detail = make("p", "", card.detail);
    detail.dir = "auto";
    article.append(make("div", "no-sheet", detail, make("p", "soft", meanings.get(card.code) ?? "")));
    const rows = [["stage", card.stage], ["requests", whole(card.attempts)]];
    if (card.path) rows.push(["path", isolated(card.path)]);
    article.append(make("div", "text", factsOf(rows)));
    return null;
  };

  // Cards are made as they come near the screen, and unmade when they are far from it.
  const sounds = new Map();
  const fill = (item, number) => {
    const card = cards[number];
    const article = make("article", "card", heading(card));
    const sound = card.code ? failed(card, article) : captioned(card, number, article);
    if (sound) sounds.set(number, sound);
    item.replaceChildren(article);
    item.style.minHeight = "";
  };
  const clear = (item, number) => {
    const sound = sounds.get(number);
    if (sound?.isPlaying() || item.contains(document.activeElement)) return;
    sound?.end();
    sounds.delete(number);
    item.style.minHeight = `${item.offsetHeight}px`;
    item.replaceChildren();
  };
  const items = cards.map((card, number) => {
    const item = make("li");
    item.dataset.number = String(number);
    if (card.id) item.id = `clip-${card.id}`;
    return item;
  });
  const watch = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      const number = Number(target.dataset.number);
      if (isIntersecting && !target.firstChild) fill(target, number);
      else if (!isIntersecting && target.firstChild) clear(target, number);
    }
  }, { rootMargin: "900px 0px" });
  for (const item of items) watch.observe(item);

  // Search, filter, order.
  const haystacks = [];
  const haystack = (number) => {
    const card = cards[number];
    haystacks[number] ??= [card.source, card.caption, card.detail, card.deployment, card.id]
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
  const show = () => {
    const words = control("search").value.toLowerCase().split(/\s+/).filter(Boolean);
    const [kind, flag] = [control("flag").value, control("flag").value.replace(/^flag: /, "")];
    const isKind = kinds[kind] ?? ((card) => card.flags.includes(flag));
    const code = control("code").value;
    const chosen = [];
    cards.forEach((card, number) => {
      if (isKind(card) && (!code || card.code === code) && words.every((word) => haystack(number).includes(word))) {
        chosen.push(number);
      }
    });
    const order = orders[control("order").value];
    if (order) chosen.sort((a, b) => order(cards[a], cards[b]) || a - b);
    list.replaceChildren(...chosen.map((number) => items[number]));
    if (!chosen.length) list.append(make("li", "empty", "No clip is like that."));
    control("count").textContent = `${whole(chosen.length)} of ${whole(cards.length)}`;
  };
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
  let typed = 0;
  control("search").addEventListener("input", () => {
    clearTimeout(typed);
    typed = setTimeout(show, 120);
  });
  for (const id of ["flag", "code", "order"]) control(id).addEventListener("change", show);
  tools.addEventListener("submit", (event) => event.preventDefault());

  const seek = () => {
    const item = location.hash.startsWith("#clip-") && control(location.hash.slice(1));
    if (location.hash.startsWith("#clip-") && !item) {
      for (const id of ["search", "code"]) control(id).value = "";
      control("flag").value = "all";
      show();
    }
    const found = location.hash.startsWith("#clip-") ? control(location.hash.slice(1)) : null;
    for (const other of list.querySelectorAll(".is-sought")) other.classList.remove("is-sought");
    if (!found) return;
    found.classList.add("is-sought");
    found.scrollIntoView();
    // The cards above it get their true heights only now.
    setTimeout(() => found.scrollIntoView(), 80);
  };
  addEventListener("hashchange", seek);
  tools.hidden = false;
  show();
  seek();
})();
