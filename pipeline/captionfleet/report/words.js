// Elements, figures and the clipboard.
// Everything here that comes from a clip goes into the page as text, never as markup.
const SVG = "http://www.w3.org/2000/svg";
const read = (id) => {
  const block = document.getElementById(id);
  return block ? JSON.parse(block.textContent) : null;
};
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

// A page that was opened as a file, or over plain HTTP, may have no clipboard to ask.
const copiedBySelection = (text) => {
  const area = make("textarea", "aside");
  area.value = text;
  document.body.append(area);
  area.select();
  const isCopied = document.execCommand("copy");
  area.remove();
  return isCopied;
};
const copyButton = (what, text) => {
  const button = make("button", "plain copy", `copy ${what}`);
  button.type = "button";
  button.setAttribute("aria-live", "polite");
  let shown = 0;
  const say = (words) => {
    button.textContent = words;
    clearTimeout(shown);
    shown = setTimeout(() => { button.textContent = `copy ${what}`; }, 1500);
  };
  button.addEventListener("click", async () => {
    let isCopied = true;
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      isCopied = copiedBySelection(text);
      button.focus();
    }
    say(isCopied ? "copied" : "cannot be copied here");
  });
  return button;
};
