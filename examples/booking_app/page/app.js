// The salon's page. Everything that comes from the server is written as text, never as markup.

const WEEK = 7;
const CHIPS_PER_LANE = 12;
const REREAD_EVERY_MS = 5000;
const FENCED_SHOWN_MS = 700;
const LONGEST_PAUSE_MS = 15000;

const SOURCES = { level1: "level 1", level2: "level 2", loaded: "loaded", shared: "shared" };
const MARKS = { started: "…", retried: "…", failed: "↻", done: "✓", dead: "✕", skipped: "–" };

const state = {
  salon: null,
  service: null,
  host: "", // empty: anyone
  cache: "vacancy",
  from: "",
  latestRead: 0, // numbers the reads, so that an older answer never overwrites a newer one
  days: new Map(),
  bookings: new Map(),
  lanes: new Map(),
  moving: null,
  lost: false,
};

const at = (id) => document.getElementById(id);

// The server.

class Refused extends Error {
  constructor(code, message, alternatives = []) {
    super(message);
    this.code = code;
    this.alternatives = alternatives;
  }
}

async function ask(path, method = "GET", body) {
  const request = { method, cache: "no-store" };
  if (body) {
    request.headers = { "content-type": "application/json" };
    request.body = JSON.stringify(body);
  }
  let response;
  try {
    response = await fetch(path, request);
  } catch {
    throw new Refused("unreachable", "The server did not answer. Is it still running?");
  }
  const answer = await response.json().catch(() => null);
  if (response.ok) return answer;
  const { error, message, alternatives } = answer ?? {};
  throw new Refused(
    error ?? "failed",
    message ? sentence(message) : `The server refused this with status ${response.status}.`,
    alternatives,
  );
}

const sentence = (text) => `${text[0].toUpperCase()}${text.slice(1).replace(/\.?$/, ".")}`;

// One key for one wish: a retry with it gives the first result, never a second booking.
function attemptKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

// Days and times. A day is "YYYY-MM-DD" in the salon's zone; an instant is RFC 3339.

let clock, localDay;
const formatter = (parts) => new Intl.DateTimeFormat("en-GB", { timeZone: "UTC", ...parts });
const dayName = formatter({ weekday: "short", day: "numeric" });
const dayNameInFull = formatter({ weekday: "short", day: "numeric", month: "short" });
const dates = formatter({ day: "numeric", month: "short" });

function setZone(timeZone) {
  clock = formatter({ hour: "2-digit", minute: "2-digit", timeZone });
  localDay = new Intl.DateTimeFormat("en-CA", { timeZone }); // writes YYYY-MM-DD
}

const noon = (day) => new Date(`${day}T12:00:00Z`);
const time = (instant) => clock.format(new Date(instant));
const dayOf = (instant) => localDay.format(new Date(instant));
const when = (instant) => `${dayNameInFull.format(noon(dayOf(instant)))}, ${time(instant)}`;

function plusDays(day, count) {
  const date = noon(day);
  date.setUTCDate(date.getUTCDate() + count);
  return date.toISOString().slice(0, 10);
}

const age = (ms) => (ms < 60_000 ? `${Math.floor(ms / 1000)} s old` : `${Math.floor(ms / 60_000)} min old`);
const took = (us) => (us < 1000 ? `${us} µs` : `${(us / 1000).toFixed(1)} ms`);

// The document.

function make(tag, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
}

function item(content) {
  const element = make("li");
  element.append(content);
  return element;
}

function button(text, act) {
  const element = make("button", "", text);
  element.type = "button";
  element.addEventListener("click", act);
  return element;
}

// Makes `elements` the children of `parent`. Those that stay in order are not touched, so that
// they keep the focus.
function arrange(parent, elements) {
  const wanted = new Set(elements);
  for (const child of [...parent.children]) if (!wanted.has(child)) child.remove();
  elements.forEach((element, index) => {
    if (parent.children[index] !== element) parent.insertBefore(element, parent.children[index] ?? null);
  });
}

// Writes `text` only when it is another, so that nothing is announced or laid out in vain.
function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function mark(element, name, value) {
  if (value === null || value === false) delete element.dataset[name];
  else if (element.dataset[name] !== String(value)) element.dataset[name] = value;
}

function fillSelect(select, choices, chosen) {
  select.replaceChildren(...choices.map(({ id, name }) => new Option(name, id)));
  select.value = choices.some(({ id }) => id === chosen) ? chosen : (choices[0]?.id ?? "");
}

function tell(text, bad = false) {
  mark(at("outcome"), "bad", bad && "");
  write(at("outcome"), text);
}

const complain = (error) => tell(error.message, true);

// Names.

const serviceOf = (id) => state.salon.event_types.find((service) => service.id === id);
const serviceName = (id) => serviceOf(id)?.name ?? id;
const hostName = (id) => state.salon.hosts.find((host) => host.id === id)?.name ?? id;

// The choice of service, host and cache.

function offerHosts() {
  const { hosts } = serviceOf(state.service);
  const anyone = { id: "", name: "Anyone" };
  fillSelect(at("host"), [anyone, ...state.salon.hosts.filter(({ id }) => hosts.includes(id))], state.host);
  state.host = at("host").value;
}

function showView() {
  const names = Array.from({ length: WEEK }, (_, index) => plusDays(state.from, index));
  write(at("week-title"), dates.formatRange(noon(state.from), noon(names.at(-1))));
  at("earlier").disabled = state.from <= state.salon.today;
  state.days = new Map(names.map((name) => [name, makeDay(name)]));
  at("days").replaceChildren(...[...state.days.values()].map((day) => day.column));
  return readAll();
}

const readAll = () => Promise.all([readBookings(), readSlots()]);

function choose(change) {
  Object.assign(state, change);
  at("service").value = state.service;
  offerHosts();
  return showView();
}

// The days stay as they are until the other cache has answered, so nothing moves.
function chooseCache(cache) {
  state.cache = cache;
  return readSlots();
}

// The days.

function makeDay(day) {
  const column = make("section", "day");
  const title = make("h3", "", dayName.format(noon(day)));
  const cell = make("div", "cell");
  const parts = { state: make("span", "cell-state", "reading"), age: make("span", "cell-age"),
    generation: make("span", "cell-generation"), note: make("span", "cell-note") };
  const details = make("span", "cell-details");
  details.append(parts.generation, parts.note);
  cell.append(parts.state, parts.age, details);
  const none = make("p", "none", "");
  const slots = make("ul", "slots");
  const cards = make("ul", "cards");
  column.dataset.day = day;
  cell.dataset.state = "reading";
  title.id = `day-${day}`;
  column.setAttribute("aria-labelledby", title.id);
  column.append(title, cell, none, slots, cards);
  cell.addEventListener("animationend", () => {
    if (cell.dataset.state === "filled") cell.dataset.state = "known";
  });
  // `items` keeps the place of every time once seen, so that nothing moves when one goes.
  return { day, column, cell, parts, none, slots, cards, items: new Map(), offers: new Map(),
    facts: null, readAt: 0, refill: null, fencedUntil: 0 };
}

// Asks for the seven days in one question, also when one of them has changed: the others come out
// of the cache. The TTL cache would take a question about one day for another question.
async function readSlots() {
  const read = (state.latestRead += 1);
  const query = new URLSearchParams({ event_type: state.service, from: state.from, days: WEEK, cache: state.cache });
  if (state.host) query.set("host", state.host);
  try {
    const answer = await ask(`/slots?${query}`);
    if (read === state.latestRead) state.days.forEach((day) => take(day, answer));
  } catch (error) {
    if (read !== state.latestRead || state.lost) return;
    state.days.forEach((day) => showAnswerless(day, "unread", "not read"));
    complain(error);
  }
}

function take(day, answer) {
  const offers = answer.slots.filter((slot) => dayOf(slot.start) === day.day);
  day.offers = new Map(offers.map((slot) => [slot.start, slot]));
  day.facts = answer.days.find((facts) => facts.day === day.day) ?? null;
  day.readAt = performance.now();
  drawSlots(day);
  // A fence stays in sight for a moment: the refill takes less time than an eye needs.
  const rest = day.fencedUntil - performance.now();
  clearTimeout(day.refill);
  if (rest > 0) day.refill = setTimeout(showFacts, rest, day);
  else showFacts(day);
}

function showFacts(day) {
  const { source, generation } = day.facts ?? {};
  const filled = day.cell.dataset.state === "fenced" || source === "loaded" || source === "shared";
  mark(day.cell, "state", filled ? "filled" : "known");
  write(day.parts.state, SOURCES[source] ?? source ?? "read");
  write(day.parts.generation, state.cache === "vacancy" && generation !== undefined ? `generation ${generation}` : "");
  showNote(day);
  showAge(day);
}

function showNote(day) {
  const stale = day.column.querySelectorAll('.slot[data-state="stale"]').length;
  mark(day.cell, "stale", stale > 0 && "");
  const subtracted = day.facts?.subtracted;
  write(day.parts.note, stale ? `${stale} offered, but taken` : subtracted ? `${subtracted} subtracted` : "");
}

function showAge(day) {
  if (!["known", "filled"].includes(day.cell.dataset.state) || !day.facts) return;
  write(day.parts.age, age(day.facts.age_ms + performance.now() - day.readAt));
}

function showFenced(day) {
  clearTimeout(day.refill);
  day.fencedUntil = performance.now() + FENCED_SHOWN_MS;
  showAnswerless(day, "fenced", "fenced");
}

function showAnswerless(day, is, text) {
  mark(day.cell, "state", is);
  write(day.parts.state, text);
  write(day.parts.age, "");
}

// The slots of a day.

const overlap = (one, other) =>
  Date.parse(one.start) < Date.parse(other.end) && Date.parse(other.start) < Date.parse(one.end);

const isBooked = (host, slot) =>
  [...state.bookings.values()].some((booking) => booking.host === host && overlap(booking, slot));

const freeHosts = (slot) => slot.hosts.filter((host) => !isBooked(host, slot));

// What to make of a time: offered; offered although the page knows it to be taken, which is the
// TTL cache's to answer for; or offered no longer.
function standing(slot) {
  if (!slot) return "gone";
  if (freeHosts(slot).length > 0) return "open";
  return state.cache === "ttl" ? "stale" : "gone";
}

function drawSlots(day) {
  for (const start of day.offers.keys()) if (!day.items.has(start)) day.items.set(start, makeSlot(day, start));
  const starts = [...day.items.keys()].sort();
  for (const start of starts) drawSlot(day, start);
  arrange(day.slots, starts.map((start) => day.items.get(start)));
  write(day.none, starts.length || !day.readAt ? "" : "Nothing free");
  showNote(day);
}

function makeSlot(day, start) {
  const slot = button("", () => pick(day, start));
  slot.className = "slot";
  slot.dataset.start = start;
  slot.append(make("span", "", time(start)), make("small"));
  return item(slot);
}

function drawSlot(day, start) {
  const element = day.items.get(start).firstElementChild;
  const offer = day.offers.get(start);
  const is = standing(offer);
  mark(element, "state", is);
  element.setAttribute("aria-disabled", is === "gone");
  element.tabIndex = is === "gone" ? -1 : 0;
  write(element.lastElementChild, is === "stale" ? "taken" : is === "open" && !state.host ? `${freeHosts(offer).length} free` : "");
  const say = { open: state.moving ? ", move here" : "", stale: ", offered, but taken", gone: ", no longer offered" };
  element.setAttribute("aria-label", `${time(start)}, ${dayNameInFull.format(noon(day.day))}${say[is]}`);
}

function redraw() {
  for (const day of state.days.values()) {
    drawSlots(day);
    drawCards(day);
  }
}

function pick(day, start) {
  const slot = day.offers.get(start);
  const is = standing(slot);
  if (is === "gone") tell(`${when(start)} is no longer offered.`);
  else if (state.moving) tryMove(state.moving, { start, host: freeHosts(slot)[0] ?? slot.hosts[0] });
  else if (is === "stale") tryStale(slot);
  else openBooking(slot);
}

// Left and right go from slot to slot, beside the tab key.
function walk(event) {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!step || !event.target.matches(".slot")) return;
  const slots = [...document.querySelectorAll('.slot[aria-disabled="false"]')];
  slots[slots.indexOf(event.target) + step]?.focus();
}

// The bookings.

async function readBookings() {
  const { from } = state;
  try {
    const bookings = await ask(`/bookings?${new URLSearchParams({ from, days: WEEK })}`);
    if (from !== state.from) return;
    state.bookings = new Map(bookings.map((booking) => [booking.id, booking]));
    redraw();
  } catch (error) {
    if (!state.lost) complain(error);
  }
}

function keep(booking) {
  const before = state.bookings.get(booking.id);
  if (state.days.has(dayOf(booking.start))) state.bookings.set(booking.id, { ...before, ...booking });
  else state.bookings.delete(booking.id);
  redraw();
}

function forget(id) {
  state.bookings.delete(id);
  if (state.moving === id) stopMoving();
  redraw();
}

function drawCards(day) {
  const shown = [...state.bookings.values()]
    .filter((booking) => dayOf(booking.start) === day.day && (!state.host || booking.host === state.host))
    .sort((one, other) => one.start.localeCompare(other.start) || one.host.localeCompare(other.host));
  const present = new Map([...day.cards.children].map((card) => [card.dataset.id, card]));
  arrange(day.cards, shown.map((booking) => drawCard(present.get(String(booking.id)) ?? makeCard(booking.id), booking)));
}

function makeCard(id) {
  const card = make("li", "card");
  card.dataset.id = id;
  const actions = make("div", "card-actions");
  actions.append(
    button("Move", () => (state.moving === id ? stopMoving() : startMoving(id))),
    button("Cancel", () => cancel(id)),
  );
  card.append(make("span", "card-when"), make("span", "card-name"), make("span", "card-what"), actions);
  return card;
}

function drawCard(card, booking) {
  const [whenPart, name, what, actions] = card.children;
  const moving = state.moving === booking.id;
  write(whenPart, `${time(booking.start)}–${time(booking.end)}`);
  write(name, booking.name);
  write(what, serviceName(booking.event_type) + (state.host ? "" : `, ${hostName(booking.host)}`));
  mark(card, "moving", moving && "");
  const [moveButton, cancelButton] = actions.children;
  const whose = `${booking.name}, ${when(booking.start)}`;
  write(moveButton, moving ? "Stop" : "Move");
  moveButton.setAttribute("aria-label", `${moving ? "Stop moving" : "Move"} ${whose}`);
  cancelButton.setAttribute("aria-label", `Cancel ${whose}`);
  return card;
}

const focusCard = (id) => focusGently(document.querySelector(`.card[data-id="${CSS.escape(id)}"] button`));

// Focus by itself puts an element in the middle of the window, and the page jumps.
function focusGently(element) {
  element?.focus({ preventScroll: true });
  element?.scrollIntoView({ block: "nearest" });
}

// Booking.

let wish = null; // what the dialog is about: the slot, and the key of the attempt

function openBooking(slot) {
  const hosts = freeHosts(slot).map((id) => ({ id, name: hostName(id) }));
  wish = { event_type: state.service, start: slot.start, key: attemptKey() };
  write(at("book-title"), `Book ${serviceName(state.service)}`);
  write(at("book-when"), when(slot.start));
  write(at("book-problem"), "");
  fillSelect(at("book-host"), hosts, state.host);
  at("book").showModal();
  at("name").focus();
}

async function submitBooking(event) {
  event.preventDefault();
  const submit = event.submitter ?? at("book-form").querySelector(".primary");
  const booking = { ...wish, host: at("book-host").value, name: at("name").value.trim() };
  if (!booking.name) return write(at("book-problem"), "Say whom the slot is for.");
  submit.disabled = true; // a second click would be the same wish
  try {
    await book(booking);
    at("book").close();
  } catch (error) {
    // The key stays: if the answer was lost on its way, trying again finds the booking.
    if (error.code !== "taken") return write(at("book-problem"), error.message);
    at("book").close();
    tellTaken(booking, error);
  } finally {
    submit.disabled = false;
  }
  if (!at("told").open) focusCard(booked);
}

let booked = ""; // the id of the latest booking made here

async function book(booking) {
  const made = await ask("/bookings", "POST", booking);
  booked = made.id;
  keep(made);
  tell(`Booked ${made.name}: ${serviceName(made.event_type)} with ${hostName(made.host)}, ${when(made.start)}.`);
  reread();
  return made;
}

async function tryStale(slot) {
  const host = slot.hosts[0];
  const booking = { event_type: state.service, host, start: slot.start, name: at("name").value.trim() || "A visitor", key: attemptKey() };
  try {
    await book(booking);
  } catch (error) {
    if (error.code === "taken") tellTaken(booking, error);
    else complain(error);
  }
}

function tellTaken(booking, error) {
  const place = `${when(booking.start)} with ${hostName(booking.host)}`;
  const lines = [state.cache === "ttl" ? `The TTL cache still offers ${place}, but the diary has it as taken.`
    : `${place} went to somebody else a moment ago.`, error.message];
  if (!error.alternatives.length) lines.push("There is nothing else free near it.");
  const again = ({ start, host }) => book({ ...booking, start, host, key: attemptKey() });
  openTold("Taken (409)", lines, error.alternatives, again);
  complain(new Error(`${when(booking.start)} is taken.`));
}

// Tells an outcome, with `alternatives` as buttons that `act` on the one that is chosen.
function openTold(title, lines, alternatives, act) {
  write(at("told-title"), title);
  write(at("told-problem"), "");
  at("told-lines").replaceChildren(...lines.map((line) => make("p", "", line)));
  at("alternatives").replaceChildren(...alternatives.map((alternative) => {
    const choice = button(`${when(alternative.start)} with ${hostName(alternative.host)}`, () => chooseAlternative(act, alternative));
    choice.append(make("small", "", (alternative.reason ?? "").replaceAll("_", " ")));
    return item(choice);
  }));
  if (!at("told").open) at("told").showModal();
}

async function chooseAlternative(act, alternative) {
  try {
    const { id } = await act(alternative);
    at("told").close();
    focusCard(id);
  } catch (error) {
    write(at("told-problem"), error.message);
  }
}

// Moving and cancelling.

function startMoving(id) {
  const booking = state.bookings.get(id);
  state.moving = id;
  document.body.dataset.moving = "";
  at("stop-moving").hidden = false;
  tell(`Moving ${booking.name}: choose another slot.`);
  const other = booking.event_type !== state.service || (state.host && state.host !== booking.host);
  const shown = other ? choose({ service: booking.event_type, host: booking.host }) : Promise.resolve(redraw());
  const offered = '.slot[data-state="open"]';
  const day = `[data-day="${dayOf(booking.start)}"]`;
  shown.then(() => focusGently(document.querySelector(`${day} ${offered}`) ?? document.querySelector(offered)));
}

function stopMoving() {
  const id = state.moving;
  state.moving = null;
  delete document.body.dataset.moving;
  at("stop-moving").hidden = true;
  tell("");
  redraw();
  focusCard(id);
}

async function move(id, { start, host }) {
  const moved = await ask(`/bookings/${encodeURIComponent(id)}`, "PATCH", { start, host });
  stopMoving();
  keep(moved);
  tell(`Moved ${moved.name} to ${when(moved.start)} with ${hostName(moved.host)}.`);
  reread();
  focusCard(id);
  return moved;
}

async function tryMove(id, to) {
  try {
    await move(id, to);
  } catch (error) {
    if (error.code !== "taken") return complain(error);
    openTold("Taken (409)", [`${when(to.start)} is taken, so nothing was moved.`, error.message],
      error.alternatives, (alternative) => move(id, alternative));
  }
}

async function cancel(id) {
  const booking = state.bookings.get(id);
  const day = dayOf(booking.start);
  try {
    await ask(`/bookings/${encodeURIComponent(id)}`, "DELETE");
  } catch (error) {
    return complain(error);
  }
  forget(id);
  tell(`Cancelled ${booking.name}, ${when(booking.start)}.`);
  reread();
  focusGently(state.days.get(day)?.column.querySelector(".card button, .slot"));
}

// Two people want the same slot.

async function race() {
  const offers = [...state.days.values()].flatMap((day) => [...day.offers.values()]);
  const slot = offers.find((offer) => standing(offer) === "open");
  if (!slot) return tell("Nothing is free in these seven days.");
  const wanted = { event_type: state.service, start: slot.start, host: freeHosts(slot)[0] };
  const people = ["Alma", "Bruno"].map((name) => ({ ...wanted, name, key: attemptKey() }));
  const ends = await Promise.allSettled(people.map(book));
  const lines = ends.map(({ value, reason }, index) => value
    ? `${people[index].name} got ${when(slot.start)} with ${hostName(wanted.host)}.`
    : `${people[index].name} did not: ${reason.message}`);
  const lost = ends.findIndex(({ reason }) => reason?.code === "taken");
  const loser = people[lost];
  if (loser) lines.push(ends[lost].reason.alternatives.length ? `Offered to ${loser.name} instead:` : "Nothing else is free near it.");
  openTold("Two people, one slot", lines, ends[lost]?.reason.alternatives ?? [],
    ({ start, host }) => book({ ...loser, start, host, key: attemptKey() }));
}

// What listeners did.

function makeLane(listener, how) {
  const row = make("li", "lane");
  row.dataset.listener = listener;
  const chips = make("ul", "chips");
  const lane = { row, chips, byEvent: new Map() };
  const head = make("p", "lane-head", listener);
  head.append(make("small", "", how));
  row.append(head, chips);
  state.lanes.set(listener, lane);
  at("lanes").append(row);
  return lane;
}

function showTopology(rows) {
  for (const { listener, kind, policy } of rows) {
    // Those of the page only tell it what it shows.
    if (!listener || listener.startsWith("page.") || state.lanes.has(listener)) continue;
    makeLane(listener, policy?.retry ? `${kind}, tries ${policy.retry}` : kind).inline = kind === "inline";
  }
}

// Listeners that run inside the dispatch have run when an event is told, and tell nothing themselves.
function showInline({ id, event }) {
  for (const [listener, { inline }] of state.lanes) {
    if (inline) showLane({ event_id: id, event, listener, outcome: "done", attempt: 1 });
  }
}

function showLane(told) {
  const lane = state.lanes.get(told.listener) ?? makeLane(told.listener, "");
  let chip = lane.byEvent.get(told.event_id);
  if (!chip) {
    chip = { element: make("li", "chip"), attempts: new Map() };
    lane.byEvent.set(told.event_id, chip);
    lane.chips.prepend(chip.element);
    boundLane(lane);
  }
  chip.attempts.set(told.attempt ?? 1, told.outcome);
  drawChip(chip, told);
}

function boundLane(lane) {
  if (lane.byEvent.size <= CHIPS_PER_LANE) return;
  const [oldest, chip] = lane.byEvent.entries().next().value;
  chip.element.remove();
  lane.byEvent.delete(oldest);
}

function drawChip({ element, attempts }, told) {
  element.dataset.outcome = told.outcome;
  const marks = [...attempts].sort(([one], [other]) => one - other).map(([, outcome]) => {
    const sign = make("span", "mark", MARKS[outcome] ?? "?");
    sign.dataset.outcome = outcome;
    sign.ariaHidden = "true";
    return sign;
  });
  const attempt = told.attempt > 1 ? ` at attempt ${told.attempt}` : "";
  const ended = ["done", "dead", "skipped"].includes(told.outcome) && "took_us" in told;
  element.replaceChildren(
    make("span", "", told.event.split(".").pop()),
    ...marks,
    make("span", "unseen", `${told.outcome}${attempt}`),
    make("span", "chip-took", ended ? took(told.took_us) : ""),
  );
  element.title = told.reason ? `${told.outcome}${attempt}: ${told.reason}` : `${told.outcome}${attempt}`;
}

function showCounts({ stale, reads, loads }) {
  for (const cache of ["vacancy", "ttl"]) {
    const element = at(`stale-${cache}`);
    write(element, String(stale[cache]));
    mark(element.parentElement, "some", stale[cache] > 0 && "");
    write(at(`reads-${cache}`), `${reads[cache]} reads, ${loads[cache]} loads`);
  }
}

// The feed of events.

let rereading = false;

// Asks again, once for all that happened just now.
function reread() {
  if (!rereading) setTimeout(() => { rereading = false; readSlots(); }, 50);
  rereading = true;
}

function showDay({ day: name, host, event_type: service, state: is }) {
  const day = state.days.get(name);
  if (!day || (host && state.host && host !== state.host)) return;
  if (is === "fenced") {
    if (state.cache === "vacancy") showFenced(day);
    reread();
  } else if (state.cache === "vacancy" && day.cell.dataset.state === "known" && (!service || service === state.service)) {
    mark(day.cell, "state", "filled");
  }
}

const REACTIONS = {
  dispatched: showInline,
  lane: showLane,
  day: showDay,
  counts: showCounts,
  booking: ({ state: became, ...booking }) => (became === "cancelled" ? forget(booking.id) : keep(booking)),
  missed: ({ count }) => {
    tell(`The page was too slow for ${count} events and reads everything again.`);
    readAll();
  },
};

function showConnection(is, text) {
  mark(at("connection"), "state", is);
  write(at("connection"), text);
}

function listen(failures = 0) {
  const source = new EventSource("/events");
  source.addEventListener("open", () => {
    failures = 0;
    showConnection("live", "Live");
    if (state.lost) readAll(); // what happened meanwhile was not told
    state.lost = false;
  });
  source.addEventListener("error", () => {
    source.close();
    const pause = Math.min(500 * 2 ** failures, LONGEST_PAUSE_MS) * (0.75 + Math.random() / 2);
    state.lost = true;
    showConnection("lost", `Connection lost; next try in ${Math.ceil(pause / 1000)} s`);
    setTimeout(listen, pause, failures + 1);
  });
  for (const [kind, react] of Object.entries(REACTIONS)) {
    source.addEventListener(kind, (message) => react(JSON.parse(message.data)));
  }
}

// Dark and light.

const prefersDark = matchMedia("(prefers-color-scheme: dark)");

const isDark = () => (document.documentElement.dataset.theme ?? (prefersDark.matches ? "dark" : "light")) === "dark";

function showTheme() {
  write(at("theme"), isDark() ? "Light theme" : "Dark theme");
}

function switchTheme() {
  document.documentElement.dataset.theme = isDark() ? "light" : "dark";
  showTheme();
}

// The beginning.

function wire() {
  at("theme").addEventListener("click", switchTheme);
  prefersDark.addEventListener("change", showTheme);
  at("service").addEventListener("change", () => choose({ service: at("service").value }));
  at("host").addEventListener("change", () => choose({ host: at("host").value }));
  for (const option of document.querySelectorAll('input[name="cache"]')) {
    option.addEventListener("change", () => chooseCache(option.value));
  }
  at("earlier").addEventListener("click", () => choose({ from: plusDays(state.from, -WEEK) }));
  at("later").addEventListener("click", () => choose({ from: plusDays(state.from, WEEK) }));
  at("race").addEventListener("click", race);
  at("book-form").addEventListener("submit", submitBooking);
  at("book-form").addEventListener("input", () => (wish.key = attemptKey())); // another wish
  at("stop-moving").addEventListener("click", stopMoving);
  at("days").addEventListener("keydown", walk);
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && state.moving && !document.querySelector("dialog[open]")) stopMoving();
  });
  for (const close of document.querySelectorAll("[data-close]")) {
    close.addEventListener("click", () => close.closest("dialog").close());
  }
  setInterval(() => state.days.forEach(showAge), 1000);
  setInterval(() => document.hidden || state.lost || readSlots(), REREAD_EVERY_MS);
}

async function begin() {
  showTheme();
  try {
    const [salon, topology] = await Promise.all([ask("/salon"), ask("/topology")]);
    state.salon = salon;
    setZone(salon.zone);
    showTopology(topology);
    state.service = salon.event_types[0].id;
    state.host = salon.hosts[0].id;
    state.from = salon.today;
    fillSelect(at("service"), salon.event_types, state.service);
    wire();
    listen();
    await choose({});
  } catch (error) {
    showConnection("lost", "Not connected; load the page again");
    complain(error);
  }
}

begin();
