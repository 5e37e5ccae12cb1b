// --- the drones over time: the player, what moves on the map, the line on the charts
const cycle = JSON.parse($("cycle").textContent), slider = $("time"), player = $("play");
const bytes = text => Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
for (const of of Object.values(cycle.targets)) { of.watched = bytes(of.watched); of.unknown = bytes(of.unknown); of.chances = bytes(of.chances); of.wide = of.count + 7 >> 3; }
const bit = (packed, wide, row, at) => packed[row * wide + (at >> 3)] >> 7 - (at & 7) & 1;
const moment = t => { const s = Math.round(t), two = n => String(n).padStart(2, "0"); return s < 3600 ? `${Math.floor(s / 60)}:${two(s % 60)}` : `${Math.floor(s / 3600)}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)}`; };
const PLAYING = 40;  // seconds that the whole of it takes
let step = null, clockwork = null;
const scaleText = document.querySelector("aside > .faint"), scaleWords = scaleText.textContent;
const flying = all("#flying path");
const outlines = cycle.shapes.map(shape => { let d = ""; for (let i = 0; i < shape.length; i += 2) d += `${i ? "L" : "M"}${shape[i]} ${shape[i + 1]}`; return d + "Z"; });
const flyers = new Map(fixed.filter(f => f.node.dataset.drone).map(f => [f.node.dataset.drone, f]));
const walker = fixed.find(f => f.node.id === "walker");

function stretch(from, to) {  // the frontage between two chainages, with its bends
  const inner = data.chainages.filter(c => c > from && c < to);
  return "M" + [from, ...inner, to].map(s => { const p = at(s); return `${p.x.toFixed(1)} ${p.y.toFixed(1)}`; }).join("L");
}
function runsAt(of, row) {  // the frontage in runs of one state: watched, open or unknown
  const found = [], piece = data.length / of.count;
  for (let i = 0; i < of.count; i++) {
    const state = bit(of.unknown, of.wide, 0, i) ? "unknown" : bit(of.watched, of.wide, row, i) ? "watched" : "open";
    if (found.length && found.at(-1).state === state) found.at(-1).to = (i + 1) * piece;
    else found.push({state, from: i * piece, to: (i + 1) * piece});
  }
  return found;
}
function chanceAt(of, s, t) {  // of who sets out then: null where the ground is unknown
  const station = Math.min(Math.floor(s / data.length * of.count), of.count - 1), row = Math.min(Math.floor(t / cycle.length * of.rows), of.rows - 1);
  const value = of.chances[row * of.count + station];
  return value === 255 ? null : value / 250;
}
function lookedAt(of, station, t) {  // whether a station is watched, and when it next is, whole steps as the bits are
  if (bit(of.unknown, of.wide, 0, station)) return "unknown ground";
  if (bit(of.watched, of.wide, step, station)) return "watched now";
  for (let ahead = 1; ahead < cycle.steps; ahead++) {
    const later = step + ahead;
    if (later >= cycle.steps && !cycle.periodic) break;
    if (bit(of.watched, of.wide, later % cycle.steps, station)) return `not watched, next look in ${moment(Math.max(later * cycle.step - t, 1))}`;
  }
  for (let row = 0; row < step; row++) if (bit(of.watched, of.wide, row, station)) return "not watched, and not again in the plan";
  return "never watched";
}
function sayDrones(t) {
  const words = {o: "on its way out", s: "on station", h: "on its way home"};
  $("doing").textContent = Object.entries(cycle.drones).map(([name, drone]) => {
    const phase = drone.phases[step];
    if (phase !== "g") return `${name} ${words[phase]}`;
    const next = drone.starts.find(start => start > t) ?? (cycle.periodic ? drone.starts[0] : undefined);
    return `${name} on the ground${next === undefined ? "" : ` until ${moment(next)}`}`;
  }).join(" · ");
  $("doing").title = $("doing").textContent;
}
function walkTo(of, t) {  // the walker who knows the schedule, while he is under way
  const walk = of.walk;
  for (const path of all("#walk path")) path.setAttribute("d", walk ? "M" + walk.points.map(p => p.join(" ")).join("L") : "");
  let when = t;
  if (walk && cycle.periodic && when < walk.clock[0]) when += cycle.length * Math.ceil((walk.clock[0] - when) / cycle.length);
  const under = walk && when >= walk.clock[0] && when <= walk.clock.at(-1);
  walker.node.toggleAttribute("hidden", !under);
  if (!under) return;
  let i = 1;
  while (i < walk.clock.length - 1 && walk.clock[i] < when) i++;
  const span = walk.clock[i] - walk.clock[i - 1], share = span > 0 ? (when - walk.clock[i - 1]) / span : 1, [a, b] = [walk.points[i - 1], walk.points[i]];
  put(walker, a[0] + share * (b[0] - a[0]), a[1] + share * (b[1] - a[1]));
}
function put(f, x, y) { f.x = x; f.y = y; f.node.setAttribute("transform", `translate(${x} ${y}) scale(${metresPerPixel()})`); }
function openNow(opening, t) {
  return opening.always || opening.times.some(([from, to]) => from <= t && t < to || cycle.periodic && t + cycle.length < to);
}
function showTime(to) {
  step = Math.min(Math.max(Math.round(to), 0), cycle.steps - 1);
  const t = (step + .5) * cycle.step, of = cycle.targets[target];
  document.documentElement.classList.add("timed"); map.classList.add("timed"); scaleText.textContent = "share of the time watched; frontage: as it is now"; $("nowrow").classList.toggle("on", !!of); $("untimed").hidden = false;
  slider.value = step; $("clock").textContent = moment(t); sayDrones(t);
  slider.setAttribute("aria-valuetext", `${moment(t)}. ${$("doing").textContent}`);
  const seen = new Set();
  cycle.sensors.forEach((sensor, index) => {
    const pose = sensor.at[step], path = flying[index];
    path.toggleAttribute("hidden", !pose);
    if (!pose) return;
    path.setAttribute("d", outlines[pose[3]]);
    path.setAttribute("transform", `translate(${pose[0]} ${pose[1]}) rotate(${pose[2]})`);
    seen.add(sensor.drone); put(flyers.get(sensor.drone), pose[0], pose[1]);
  });
  for (const [drone, f] of flyers) f.node.toggleAttribute("hidden", !seen.has(drone));
  declutter(metresPerPixel());
  for (const line of all(".timechart .moment")) { line.hidden = false; line.style.top = `calc(${100 * t / cycle.length}% - 1px)`; }
  if (!of) return;
  const runs = runsAt(of, step);
  for (const state of ["watched", "open", "unknown"]) document.querySelector(`#nowline .${state}`).setAttribute("d", runs.filter(run => run.state === state).map(run => stretch(run.from, run.to)).join(""));
  document.querySelector("#nowline .case").setAttribute("d", stretch(0, data.length));
  $("nowcells").replaceChildren(...runs.map(run => {
    const cell = document.createElement("div");
    cell.className = `seg ${run.state === "watched" ? "covered" : run.state}`;
    cell.style.left = `${100 * run.from / data.length}%`; cell.style.width = `${100 * (run.to - run.from) / data.length}%`;
    return cell;
  }));
  walkTo(of, t);
  for (const row of all("#openings tr[data-opening]")) {
    const now = +row.dataset.whose === target && openNow(of.openings[+row.dataset.opening], t);
    row.classList.toggle("now", now); row.lastElementChild.textContent = now ? "open" : "";
  }
  if (chainage !== null) place(chainage); else measure();
}
function untime() {
  play(false); step = null;
  document.documentElement.classList.remove("timed"); map.classList.remove("timed"); scaleText.textContent = scaleWords; $("nowrow").classList.remove("on"); $("untimed").hidden = true; $("clock").textContent = "–:––"; $("doing").textContent = "";
  for (const line of all(".timechart .moment")) line.hidden = true;
  for (const row of all("#openings tr.now")) { row.classList.remove("now"); row.lastElementChild.textContent = ""; }
  measure(); draw();
  if (chainage !== null) place(chainage);
}
function play(on) {
  player.textContent = on ? "❚❚" : "▶"; player.setAttribute("aria-pressed", on); player.setAttribute("aria-label", on ? "Pause" : "Play");
  clearInterval(clockwork); clockwork = null;
  if (!on) return;
  const begun = step === null || step >= cycle.steps - 1 ? 0 : step, from = performance.now();
  clockwork = setInterval(() => {
    const passed = begun + (performance.now() - from) / 1000 / PLAYING * cycle.steps;
    if (!cycle.periodic && passed >= cycle.steps - 1) { showTime(cycle.steps - 1); play(false); return; }
    const next = Math.floor(passed) % cycle.steps;
    if (next !== step) showTime(next);
  }, 40);
}
player.onclick = () => play(clockwork === null);
slider.addEventListener("input", () => { play(false); showTime(+slider.value); });
slider.addEventListener("keydown", event => { if (event.key === " ") { event.preventDefault(); player.click(); } });
$("untimed").onclick = untime;
for (const chart of all(".timechart")) {
  const go = event => { const box = chart.getBoundingClientRect(); play(false); showTime((event.clientY - box.top) / box.height * cycle.steps - .5); place((event.clientX - box.left) / box.width * data.length); };
  chart.addEventListener("pointerdown", event => { chart.setPointerCapture(event.pointerId); go(event); });
  chart.addEventListener("pointermove", event => { if (event.buttons) go(event); });
}
for (const row of all("#openings tr[data-opening]")) {
  const go = () => {
    const opening = cycle.targets[target].openings[+row.dataset.opening];
    play(false); showTime(Math.ceil((opening.always ? 0 : opening.times[0][0]) / cycle.step));
    place((opening.from + opening.to) / 2); goTo((opening.from + opening.to) / 2, Math.max(opening.to - opening.from, 400)); reveal();
  };
  row.addEventListener("click", go);
  row.addEventListener("keydown", event => { if (event.key === "Enter") go(); });
}
const chooseTarget = choose, placeAlong = place;
choose = index => {
  chooseTarget(index);
  for (const row of all("#openings tr[data-whose]")) row.hidden = +row.dataset.whose !== index;
  if (step !== null) showTime(step); else measure();
};
place = s => {
  placeAlong(s);
  const of = cycle.targets[target];
  if (step === null || !of) { measure(); return; }
  const t = (step + .5) * cycle.step, station = Math.min(Math.floor(chainage / data.length * of.count), of.count - 1);
  const said = `At ${moment(t)}, km ${(chainage / 1000).toFixed(2)}: ${lookedAt(of, station, t)}; who sets out then is detected with ${percent(chanceAt(of, chainage, t))}.`;
  const still = document.createElement("span");  // what holds for the coverage's moment, and not for this one
  still.className = "still"; still.append(`${cycle.still[0].toUpperCase()}${cycle.still.slice(1)}: `, ...$("readout").childNodes);
  $("readout").replaceChildren(`${said} `, still); ribbon.setAttribute("aria-valuetext", `${said} ${still.textContent}`);
  measure();  // what was said takes room: told at once, not by the observers
};
function followTime() {  // #time=260: seconds into the cycle
  const wanted = new URLSearchParams(location.hash.slice(1));
  if (Number(wanted.get("time")) >= 0 && wanted.has("time")) showTime(Math.floor(Number(wanted.get("time")) / cycle.step));
}
addEventListener("hashchange", followTime);
setTimeout(followTime);
