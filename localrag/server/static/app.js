// The page's script: answers as they come, sources beside them, keys. Every page works without it.
"use strict";
(() => {
  const one = (what, where = document) => where.querySelector(what);
  const all = (what, where = document) => [...where.querySelectorAll(what)];
  const body = document.body, turns = one("#turns"), ask = one("#ask"), field = one("#question");
  const source = one("#source"), main = one("#main");
  body.classList.add("scripted");

  const say = (words) => { one("#say").textContent = words; };
  // Made and escaped by the server.
  const element = (html) => {
    const made = document.createElement("template");
    made.innerHTML = html.trim();
    return made.content;
  };
  const GONE = "localrag does not answer. It may have been ended.";
  const json = { Accept: "application/json" };
  const problem = async (answer) => {
    try { return (await answer.json()).error.message; } catch { return `The server answered ${answer.status}.`; }
  };
  const fail = (words) => {
    const box = document.createElement("p");
    box.className = "error";
    box.setAttribute("role", "alert");
    box.textContent = words;
    (turns || main).append(box);
    box.scrollIntoView({ block: "nearest" });
  };

  // Only an address that the script left is loaded again, not a place in this page.
  const address = () => location.pathname + location.search;
  let here = address();
  const go = (how, to) => { history[how](null, "", to); here = address(); };
  addEventListener("popstate", () => { if (address() !== here) location.reload(); });

  const drawer = (yes) => {
    body.classList.toggle("library-open", yes);
    one("[data-toggle][aria-expanded]")?.setAttribute("aria-expanded", yes);
  };

  // --- answers under way ---
  const atEnd = () => turns && turns.scrollHeight - turns.scrollTop - turns.clientHeight < 80;
  const follow = (was) => { if (was) turns.scrollTop = turns.scrollHeight; };
  const show = (box, news) => {
    const step = one("[data-step]", box), bar = one("[data-share]", box), draft = one("[data-draft]", box);
    if (step) step.textContent = news.step;
    if (bar) { bar.hidden = news.share === null; if (news.share !== null) bar.value = news.share; }
    const phase = news.step.split(" · ")[0];
    if (box.dataset.phase !== phase) { box.dataset.phase = phase; say(phase); }
    if (news.plan) one("[data-plan]", box).textContent = news.plan;
    if (news.reset) draft.textContent = "";
    if (news.text) draft.append(news.text);
    if (news.rows) one("[data-rows]", box).replaceChildren(element(news.rows));
    if (news.reasoning) {
      const details = one("[data-reasoning]", box);
      details.hidden = false;
      one(".pre", details).append(news.reasoning);
    }
    for (const text of news.notes || []) {
      const line = document.createElement("p");
      line.className = "remark";
      line.textContent = `! ${text}`;
      one("[data-notes]", box).append(line);
    }
    for (const row of news.grid || []) {
      const made = element(row).firstElementChild, old = document.getElementById(made.id);
      old ? old.replaceWith(made) : one("#grid").append(made);
    }
  };
  const watch = (box) => {
    const events = new EventSource(`/jobs/${box.dataset.job}/events`);
    let away = false;
    const lost = (words) => {
      if (!box.dataset.lost) say(words);
      box.dataset.lost = "yes";
      one("[data-step]", box).textContent = words;
    };
    busy(true);
    events.onopen = () => { // followed again: everything so far is sent again
      if (away) all("[data-draft], [data-notes], [data-reasoning] .pre", box).forEach((each) => each.replaceChildren());
      away = false;
      delete box.dataset.lost;
    };
    events.addEventListener("news", (event) => {
      const was = atEnd();
      show(box, JSON.parse(event.data));
      follow(was);
    });
    events.addEventListener("ended", (event) => {
      events.close();
      busy(false);
      const was = atEnd(), made = element(JSON.parse(event.data).html), turn = made.firstElementChild;
      if (box.id === "review") {
        box.removeAttribute("data-job");
        box.replaceChildren(made);
        return say("The review has ended.");
      }
      box.replaceWith(made);
      if (was && turn.clientHeight > turns.clientHeight) turn.scrollIntoView({ block: "start" });
      else follow(was);
      say(`Answer: ${(one(".answer", turn) || one(".error", turn) || turn).textContent.trim()}`);
      const first = one(".citation", turn) || one("td a", turn);
      if (first && matchMedia("(min-width: 64.01rem)").matches && (source.hidden || !source.contains(document.activeElement))) {
        open(first, false);
      }
    });
    events.onerror = () => {
      away = true;
      if (events.readyState !== EventSource.CLOSED) return lost(GONE); // the browser tries again
      busy(false);
      lost("localrag was restarted. Load the page again: what it had written is kept.");
    };
  };
  const busy = (yes) => { body.classList.toggle("busy", yes); };
  const stop = (form) => fetch(form.action, { method: "POST", headers: json, body: new URLSearchParams() }).catch(() => say(GONE));
  all("[data-job]").forEach(watch);
  all("[data-part]").forEach(async (box) => {
    const answer = await fetch(box.dataset.part).catch(() => null);
    if (answer?.ok) box.append(element(await answer.text()));
  });

  const submit = async (form) => {
    if (body.classList.contains("busy")) return say("The answer is still coming. Esc stops it.");
    if (one("[name=library][type=checkbox]", form) && !one("[name=library]:checked", form)) return fail("No library is ticked. Tick one below the question.");
    body.classList.add("busy");
    drawer(false);
    const data = new URLSearchParams(new FormData(form));
    let answer;
    try { answer = await fetch("/ask", { method: "POST", headers: json, body: data }); } catch { answer = null; }
    if (!answer || !answer.ok) {
      busy(false);
      return fail(answer ? await problem(answer) : GONE);
    }
    const news = await answer.json();
    if (!turns) return location.assign(news.url);
    one("#greeting")?.remove();
    all(".again").forEach((each) => each.remove());
    const made = element(news.html);
    document.getElementById(made.firstElementChild.id)?.remove(); // asked again: one turn
    turns.append(made);
    turns.scrollTop = turns.scrollHeight;
    if (form === ask) field.value = "";
    all("[name=session]").forEach((each) => { each.value = news.url.split("/").pop(); });
    document.title = `${news.title} – localrag`;
    main.dataset.base = news.url;
    one("#export").hidden = false;
    all("#export a").forEach((each) => { each.href = news.url + "/export" + new URL(each.href).search; });
    go("replaceState", news.url);
    watch(turns.lastElementChild);
  };

  // --- sources ---
  const failed = (words) => {
    const made = element('<div class="panel"><div class="head"><button type="button" class="close" data-close aria-label="Close the source">×</button><h2>Source</h2></div><p class="error" role="alert"></p></div>');
    one(".error", made).textContent = words;
    source.replaceChildren(made);
  };
  let latest = 0; // an earlier source may come after a later one
  const panel = async (href, push) => {
    const mine = ++latest, wanted = new URL(href, location.href);
    wanted.searchParams.set("part", "source");
    wanted.searchParams.set("width", Math.round(Math.min(2400, Math.max(400, source.clientWidth || innerWidth) * devicePixelRatio)));
    body.classList.add("sourced");
    source.hidden = false;
    const answer = await fetch(wanted).catch(() => null);
    const text = answer?.ok ? await answer.text() : answer ? await problem(answer) : GONE;
    if (mine !== latest) return;
    if (!answer?.ok) return failed(text);
    source.replaceChildren(element(text));
    source.scrollTop = 0;
    go(push && !/[?&](source|read)=/.test(here) ? "pushState" : "replaceState", href);
    shown();
  };
  const shown = () => {
    const picture = one(".picture img", source), quote = one("#quote", source);
    if (!picture) { if (quote && !one(".finding", source)) quote.scrollIntoView({ block: "center" }); return; }
    const reveal = async () => {
      const news = await (await fetch(picture.dataset.boxes)).json(), note = one("[data-problem]", source);
      if (news.problem || (quote && !news.boxes.length)) {
        note.hidden = false;
        note.textContent = `! ${news.problem || "The quote was not found in the picture; it is marked in the text below."}`;
        picture.hidden = !!news.problem;
        one(".text", source).open = true;
        quote?.scrollIntoView({ block: "center" });
      } else if (news.boxes.length) {
        const top = picture.offsetTop + news.boxes[0][1] * picture.clientHeight;
        const figure = picture.parentElement, zoomed = !figure.matches(".zoom-100"); // it then scrolls by itself
        if (!one(".finding", source)) source.scrollTop = zoomed ? 0 : Math.max(0, top - source.clientHeight / 3);
        figure.scrollTop = news.boxes[0][1] * picture.clientHeight - figure.clientHeight / 3;
        figure.scrollLeft = news.boxes[0][0] * picture.clientWidth - figure.clientWidth / 8;
        picture.dataset.revealed = "yes";
      }
    };
    picture.complete ? reveal() : picture.addEventListener("load", reveal);
    picture.addEventListener("error", reveal);
  };
  let came = null; // the link that opened the source
  const open = (link, focus = true) => {
    all('[aria-current="true"]', main).forEach((each) => each.removeAttribute("aria-current"));
    if (main.contains(link)) link.setAttribute("aria-current", "true");
    const inside = source.contains(link), again = ["hit", "zoom", "turn"].find((name) => name in link.dataset);
    if (!inside) came = link;
    const at = new URL(link.href).searchParams.get("source"); // the same hit in the answer
    citations().find((each) => at && new URL(each.href).searchParams.get("source") === at)?.setAttribute("aria-current", "true");
    drawer(false);
    return panel(link.href, focus).then(() => {
      const same = inside && again && one(`[data-${again}="${link.dataset[again]}"]`, source); // to press it once more
      if (focus) (same || source).focus({ preventScroll: true });
    });
  };
  const close = () => {
    latest++;
    source.hidden = true;
    source.replaceChildren();
    body.classList.remove("sourced");
    go("replaceState", main.dataset.base);
    (came && came.isConnected ? came : field)?.focus();
  };
  if (source && !source.hidden) shown();

  const citations = () => all("#turns .citation, #turns td a[data-source]");
  const step = (by) => {
    const links = citations(), at = links.findIndex((each) => each.getAttribute("aria-current") === "true");
    const newest = links.findIndex((each) => each.closest(".turn") === links.at(-1)?.closest(".turn"));
    const link = links[at < 0 ? (by > 0 ? newest : links.length - 1) : Math.max(0, Math.min(links.length - 1, at + by))];
    if (!link) return;
    link.scrollIntoView({ block: "nearest" });
    open(link, false).then(() => link.focus({ preventScroll: true }));
  };
  const copy = async (button) => {
    try { await navigator.clipboard.writeText(button.dataset.copy); say("Copied the quote with its reference."); button.textContent = "Copied"; }
    catch { say("The browser did not allow to copy."); }
  };

  // --- the library ---
  const ticks = () => all("#library [name=tick]");
  const count = () => {
    const boxes = ticks(), ticked = boxes.filter((each) => each.checked).length, words = one("#ticks");
    if (!words) return;
    words.textContent = ticked ? `only ${ticked} of ${boxes.length} ${ticked === 1 ? "is" : "are"} asked` : "tick documents to ask only them";
    one("[data-untick]").hidden = !ticked;
    for (const box of all("[data-all]")) {
      const below = all("[name=tick]", box.closest("li")), some = below.filter((each) => each.checked).length;
      box.checked = below.length > 0 && some === below.length;
      box.indeterminate = some > 0 && some < below.length;
    }
  };
  const find = () => {
    const words = one("#find").value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const leaf of all("[data-leaf]")) {
      const text = leaf.dataset.leaf + (one("[name=tick]", leaf)?.checked ? " ticked" : "");
      leaf.hidden = !words.every((word) => text.includes(word));
    }
    one("#no-hit").hidden = !!one("[data-leaf]:not([hidden])") || !words.length;
    if (!one("#no-hit").hidden) say("No document matches.");
    for (const folder of all("[data-folder]").reverse()) folder.hidden = !one("[data-leaf]:not([hidden])", folder);
  };
  count();
  document.addEventListener("change", (event) => {
    const box = event.target;
    if (box.type === "file") {
      const files = [...box.files];
      box.value = "";  // so that the same file can be chosen again
      return add(box.closest("[data-add]"), files);
    }
    if (box.matches("[data-all]")) all("[name=tick]", box.closest("li")).forEach((each) => { if (!each.closest("[hidden]")) each.checked = box.checked; });
    if (box.closest("#library")) count();
  });
  document.addEventListener("input", (event) => { if (event.target.id === "find") find(); });

  // --- files that are added ---
  const libraryPanel = one("#library"), added = [];
  const showAdded = (words) => { one("[data-added]").textContent = [...added, words].filter(Boolean).join("\n"); };
  const read = (job) => new Promise((done) => {
    const events = new EventSource(`/jobs/${job}/events`);
    const end = (words) => { events.close(); done(words); };
    events.addEventListener("news", (event) => showAdded(JSON.parse(event.data).step));
    events.addEventListener("ended", (event) => end(JSON.parse(event.data).text));
    events.onerror = () => { if (events.readyState === EventSource.CLOSED) end(GONE); };
  });
  const showLibrary = (next) => {  // boxes for files stay: one of them may have its file chooser open
    for (const box of all("[data-add]")) next.querySelector(`[data-add="${CSS.escape(box.dataset.add)}"]`)?.replaceWith(box);
    libraryPanel.replaceChildren(next);
  };
  const add = async (box, files) => {
    for (const file of files) {
      showAdded(`Sending ${file.name} …`);
      const to = `${box.dataset.add}?name=${encodeURIComponent(file.name)}`;
      const answer = await fetch(to, { method: "POST", headers: json, body: file }).catch(() => null);
      const words = answer?.ok ? await read((await answer.json()).job) : answer ? await problem(answer) : GONE;
      added.push(words);
      say(words);
    }
    const ticked = ticks().filter((each) => each.checked).map((each) => each.value);
    const fresh = await fetch(main.dataset.base + "?part=library").catch(() => null);
    if (fresh?.ok) showLibrary(element(await fresh.text()));
    ticks().forEach((each) => { each.checked = ticked.includes(each.value); });
    count();
    showAdded("");
  };
  const target = (event) => {
    const boxes = all("[data-add]");
    return event.dataTransfer.types.includes("Files") && boxes.length && (event.target.closest("[data-add]") || (boxes.length === 1 ? boxes[0] : null));
  };
  for (const name of ["dragover", "dragleave", "drop"]) {
    document.addEventListener(name, (event) => {
      const box = target(event);
      if (box === false || box === 0) return;
      event.preventDefault(); // else the browser opens the file
      libraryPanel.classList.toggle("drop", name === "dragover" && !!box);
      if (name === "drop" && box) add(box, [...event.dataTransfer.files]);
    });
  }

  // --- clicks and keys ---
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.matches(".stop")) { event.preventDefault(); stop(form); }
    else if ((form === ask || form.matches(".again")) && !event.submitter?.hasAttribute("formaction")) { event.preventDefault(); submit(form); }
  });
  document.addEventListener("click", (event) => {
    const at = event.target.closest("a, button");
    if (!at || event.ctrlKey || event.metaKey || event.shiftKey) return;
    if (at.matches("[data-source]")) { event.preventDefault(); open(at); }
    else if (at.matches("[data-close]")) { event.preventDefault(); close(); }
    else if (at.matches("[data-copy]")) copy(at);
    else if (at.matches("[data-untick]")) { ticks().forEach((each) => { each.checked = false; }); count(); }
    else if (at.matches("[data-toggle]")) drawer(!body.classList.contains("library-open"));
  });
  const keys = {
    "/": () => field?.focus(), n: () => step(1), p: () => step(-1),
    "+": () => one('[data-zoom="1"]')?.click(), "-": () => one('[data-zoom="-1"]')?.click(),
    "[": () => one('[data-turn="-1"]')?.click(), "]": () => one('[data-turn="1"]')?.click(),
    i: () => { const text = one(".text", source); if (text) { text.open = !text.open; text.scrollIntoView({ block: "start" }); } },
    y: () => one("[data-copy]")?.click(),
  };
  document.addEventListener("keydown", (event) => {
    const typing = event.target.matches("input:not([type=checkbox]), textarea, select");
    if (event.isComposing || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape") {
      const stopping = one(".stop");
      if (stopping) stop(stopping);
      else if (body.classList.contains("library-open")) drawer(false);
      else if (source && !source.hidden) close();
    } else if (event.target === field && event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      if (field.value.trim()) submit(ask);
    } else if (!typing && keys[event.key]) {
      event.preventDefault();
      keys[event.key]();
    }
  });
})();
