"use strict";
(() => {
  const root = document.documentElement;
  const themes = ["auto", "light", "dark"];
  const names = { auto: "as the system", light: "light", dark: "dark" };
  const button = document.getElementById("theme");

  function remembered() {
    try {
      return localStorage.getItem("theme");
    } catch {
      return null; // storage is closed to a page opened from a file in some browsers
    }
  }

  function applyTheme(theme) {
    root.dataset.theme = theme;
    button.textContent = `Theme: ${names[theme]}`;
    try {
      localStorage.setItem("theme", theme);
    } catch {
      return; // the choice then holds for this view only
    }
  }

  button.hidden = false;
  button.addEventListener("click", () => {
    applyTheme(themes[(themes.indexOf(root.dataset.theme) + 1) % themes.length]);
  });
  const asked = new URLSearchParams(location.search).get("theme");
  const first = themes.includes(asked) ? asked : remembered();
  applyTheme(themes.includes(first) ? first : "auto");

  addEventListener("beforeprint", () => {
    for (const details of document.querySelectorAll("details:not([open])")) {
      details.open = true;
      details.dataset.printed = "";
    }
  });
  addEventListener("afterprint", () => {
    for (const details of document.querySelectorAll("details[data-printed]")) {
      details.open = false;
      delete details.dataset.printed;
    }
  });

  const links = new Map([...document.querySelectorAll(".contents a")].map((link) => [link.hash.slice(1), link]));
  const seen = new IntersectionObserver(
    (entries) => {
      for (const entry of entries) {
        if (!entry.isIntersecting) continue;
        for (const link of links.values()) link.removeAttribute("aria-current");
        links.get(entry.target.id)?.setAttribute("aria-current", "true");
      }
    },
    { rootMargin: "-10% 0px -80% 0px" },
  );
  for (const section of document.querySelectorAll("main > section")) seen.observe(section);

  const source = document.getElementById("scores");
  if (!source) return;
  const { sets, thumbs } = JSON.parse(source.textContent);
  const form = document.getElementById("filters");
  const list = document.getElementById("images");
  const pager = document.getElementById("pager");
  const PAGE = 12;
  let page = 0;

  function element(tag, properties = {}, ...children) {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
  }

  function hidden(text) {
    return element("span", { className: "sr", textContent: text });
  }

  function mark(key) {
    const made = element("span", { className: "mark" });
    made.classList.add(`a-${key}`);
    made.setAttribute("aria-hidden", "true");
    return made;
  }

  function fill(select, options) {
    select.replaceChildren(...options.map(([value, text]) => element("option", { value, textContent: text })));
  }

  const current = () => sets[Number(form.elements.set.value)];
  const depth = () => Number(form.elements.rule.value.slice(-1));

  function right(image, index) {
    const model = image.models[index];
    if (!model) return false;
    const top = model.top.slice(0, depth());
    const truth = [image.main, ...image.subs];
    const isIn = (label) => top.includes(label);
    return form.elements.rule.value.startsWith("any") ? truth.some(isIn) : truth.every(isIn);
  }

  function fits(image) {
    const label = form.elements.label.value;
    if (label !== "" && ![image.main, ...image.subs].includes(Number(label))) return false;
    const [kind, index] = form.elements.outcome.value.split(":");
    if (kind === "all") return true;
    if (kind === "hit") return right(image, Number(index));
    if (kind === "miss") return !right(image, Number(index));
    const hits = image.models.map((_, model) => right(image, model));
    if (kind === "every") return hits.every(Boolean);
    if (kind === "none") return !hits.some(Boolean);
    return hits.some(Boolean) && !hits.every(Boolean);
  }

  function scoreCell(image, model, label) {
    if (!model) return element("td", { textContent: "–" });
    const value = model.scores[label] / 10;
    const cell = element("td", { textContent: value.toFixed(0) });
    cell.style.setProperty("--s", value.toFixed(1));
    if (model.top.slice(0, depth()).includes(label)) {
      cell.classList.add("edge");
      cell.append(hidden(" among the highest"));
    }
    return cell;
  }

  function card(image, set) {
    const head = element("tr", {}, element("th", {}, hidden("Label")));
    for (const architecture of set.architectures) {
      const title = element("th", { scope: "col", title: architecture.name }, mark(architecture.key));
      title.append(hidden(architecture.name));
      head.append(title);
    }
    const body = element("tbody");
    set.labels.forEach((label, index) => {
      const role = index === image.main ? "● " : image.subs.includes(index) ? "○ " : "";
      const name = element("th", { scope: "row" });
      if (role) {
        const sign = element("span", { textContent: role });
        sign.setAttribute("aria-hidden", "true");
        name.append(sign, hidden(index === image.main ? "main label " : "sub label "));
        name.className = "true";
      }
      name.append(label);
      body.append(element("tr", {}, name, ...image.models.map((model) => scoreCell(image, model, index))));
    });
    const verdicts = image.models.map((_, index) => {
      const ok = right(image, index);
      const sign = element("td", { className: ok ? "right" : "wrong", textContent: ok ? "✓" : "✗" });
      sign.append(hidden(ok ? " right" : " wrong"));
      return sign;
    });
    const foot = element("tfoot", {}, element("tr", {}, element("th", { scope: "row", textContent: "right?" }), ...verdicts));
    const table = element("table", { className: "heat mini" }, element("thead", {}, head), body, foot);
    const picture =
      image.thumb < 0
        ? element("span", { className: "blank", textContent: "no picture" })
        : element("img", { src: `data:image/jpeg;base64,${thumbs[image.thumb]}`, alt: `Image ${image.id.slice(0, 10)}` });
    const id = element("code", { className: "small", textContent: image.id.slice(0, 10), title: image.id });
    return element("li", {}, element("div", { className: "picture" }, picture, id), table);
  }

  function show() {
    const set = current();
    const found = set.images.filter(fits);
    const pages = Math.max(1, Math.ceil(found.length / PAGE));
    page = Math.min(Math.max(page, 0), pages - 1);
    list.replaceChildren(...found.slice(page * PAGE, (page + 1) * PAGE).map((image) => card(image, set)));
    const cut = set.images.length < set.total ? ` (of ${set.total} test images, the first ${set.images.length} by id)` : "";
    const text = `${found.length} of ${set.images.length} test images${cut}`;
    document.getElementById("found").textContent = text;
    pager.hidden = pages < 2;
    pager.querySelector("span").textContent = `Page ${page + 1} of ${pages}`;
    pager.querySelector("[name=back]").disabled = page === 0;
    pager.querySelector("[name=next]").disabled = page === pages - 1;
  }

  function newSet() {
    const set = current();
    fill(form.elements.label, [["", "any"], ...set.labels.map((label, index) => [String(index), label])]);
    const each = set.architectures.flatMap(({ name }, index) => [
      [`miss:${index}`, `missed by ${name}`],
      [`hit:${index}`, `right by ${name}`],
    ]);
    const joint = [["all", "all images"], ["differ", "architectures disagree"], ["none", "missed by all"], ["every", "right by all"]];
    fill(form.elements.outcome, [...joint, ...each]);
    document.getElementById("legend").replaceChildren(
      ...set.architectures.map(({ key, name }) => element("li", {}, mark(key), name)),
    );
    page = 0;
    show();
  }

  fill(form.elements.set, sets.map((set, index) => [String(index), set.name]));
  form.hidden = false;
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("change", (event) => {
    page = 0;
    if (event.target.name === "set") newSet();
    else show();
  });
  pager.addEventListener("click", (event) => {
    const step = { back: -1, next: 1 }[event.target.name];
    if (!step) return;
    page += step;
    show();
    form.scrollIntoView({ block: "start" });
  });
  newSet();
})();
