// One clip, part by part.
const data = read("data");
const meanings = new Map(Object.entries(data.meanings));
const SHOWN_CHARS = 700;
const HARMLESS = new Set(["cut_to_window", "retried", "silent"]);
const CUT = "cut_to_window";

const pill = (text, kind, title) => {
  const node = make("span", kind ? `pill ${kind}` : "pill", text);
  if (title) node.title = title;
  return node;
};
const windowWords = (card) => {
  const [start, end] = card.window;
  return known(start) && known(end) ? `${clock(start)}–${clock(end)}` : "";
};
// Where in its film a window lies, if it is not all of it.
const placeOf = (card, isWindow, isInFilm) => {
  const [start, end] = card.window;
  const isCut = card.flags.includes(CUT);
  if (!known(start) || !known(end) || !(isCut || isWindow || start > 0)) return [];
  if (!known(card.film_s) || card.film_s <= 0) return [pill(windowWords(card), "", "this window of the film")];
  const share = (value) => `${Math.min(100, Math.max(0, (value / card.film_s) * 100)).toFixed(2)}%`;
  const here = make("i");
  here.style.left = share(start);
  here.style.width = share(Math.min(end, card.film_s) - start);
  const bar = make("span", isCut ? "film-bar is-cut" : "film-bar", here);
  bar.setAttribute("aria-hidden", "true");
  if (isInFilm && !isCut) return [bar];
  const said = isCut
    ? pill(`cut: ${windowWords(card)} of ${clock(card.film_s)}`, "is-cut", meanings.get(CUT))
    : pill(`${windowWords(card)} of ${clock(card.film_s)}`, "", "this window of the film");
  return [bar, said];
};
// One clip may have several captions, each of a request with a name.
const anchorOf = (card) => (card.request ? `${card.id}-${encodeURIComponent(card.request)}` : card.id);
// `isInFilm`: it stands among the windows of its film, whose name and path stand above them.
const heading = (card, isWindow, isInFilm) => {
  const name = isInFilm ? windowWords(card) || "window" : card.source || "(no name)";
  const link = make("a", "", isolated(name));
  if (card.id) link.href = `#clip-${anchorOf(card)}`;
  const head = make("header", "", make("h3", "", link), ...placeOf(card, isWindow, isInFilm));
  if (card.request) head.append(pill(card.request, "", "the request that this answers"));
  if (card.code) head.append(pill(card.code, "is-bad", meanings.get(card.code)));
  for (const flag of card.flags) {
    if (flag !== CUT) head.append(pill(flag, HARMLESS.has(flag) ? "" : "is-warn", meanings.get(flag)));
  }
  if (card.at) head.append(make("span", "when", `${card.at.replace("T", " ").slice(0, 19)} UTC`));
  return head;
};
const captionOf = (card) => {
  const text = make("p", "caption");
  text.dir = "auto";
  const left = card.chars - card.caption.length;
  const acts = make("p", "acts", copyButton(left > 0 ? "the text that is here" : "caption", card.caption));
  if (card.caption.length <= SHOWN_CHARS) {
    text.textContent = card.caption;
    if (left > 0) acts.append(`… and ${whole(left)} characters more in captions.jsonl`);
    return make("div", "", text, acts);
  }
  text.textContent = `${card.caption.slice(0, SHOWN_CHARS)}…`;
  const more = make("button", "plain more", `show all ${whole(card.chars)} characters`);
  more.type = "button";
  more.addEventListener("click", () => {
    text.textContent = card.caption;
    text.classList.add("is-whole");
    more.replaceWith(left > 0 ? `… and ${whole(left)} more in captions.jsonl` : "");
  });
  acts.prepend(more);
  return make("div", "", text, acts);
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
const sourceWords = (media, filmS) => {
  const parts = [media.source_codec, `${media.source_width}×${media.source_height}`];
  if (filmS) parts.push(seconds(filmS));
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
    ["source", sourceWords(card.media, card.film_s)],
    ["answer", isolated(card.deployment), `, ${card.finish}, ${whole(prompt)} tokens in, ${whole(completion)} out`
      + (cached ? `, ${whole(cached)} cached` : "") + (card.attempts > 1 ? `, ${whole(card.attempts)} requests` : "")],
  ];
  if (card.flags.includes("damaged")) rows.push(["damage", damageWords(card.media)]);
  rows.push(["time", `${seconds(card.total_s)}`, stageBar(card)]);
  return rows;
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

const pathRow = (card) => ["path", isolated(card.path), " ", copyButton("path", card.path)];
const captioned = (card, number, article, isInFilm) => {
  const text = make("div", "text", captionOf(card));
  article.append(text);
  const path = card.path && !isInFilm ? [pathRow(card)] : [];
  if (!card.stages) {
    article.classList.add("is-text");
    text.append(factsOf([["answer", isolated(card.deployment), `, ${seconds(card.total_s)}`], ...path]));
    return null;
  }
  const media = read(`media-${number}`) ?? { missing: "not shown here" };
  let sound = null;
  if (media.sheet) {
    article.insertBefore(sheetOf(card, media, article), text);
    if (media.peaks.length) {
      sound = soundOf(card, media);
      text.append(sound.row);
    }
  } else {
    article.insertBefore(make("p", "no-sheet", media.missing), text);
  }
  text.append(factsOf([...captionedFacts(card), ...path]));
  return sound;
};
const failed = (card, article, isInFilm) => {
  const said = make("p", "", card.detail || (meanings.get(card.code) ?? ""));
  said.dir = "auto";
  const rows = [["stage", card.stage], ["requests", whole(card.attempts)]];
  if (card.path && !isInFilm) rows.push(pathRow(card));
  article.classList.add("is-text");
  article.append(make("div", "text", said, factsOf(rows)));
  return null;
};
