"use strict";

const byId = (id) => document.getElementById(id);
let info = null;

const mode = () => document.querySelector("input[name=mode]:checked").value;
const lines = () => byId("texts").value.split("\n").filter((line) => line.trim() !== "");

async function ask(path, body) {
  const headers = { "Content-Type": "application/json" };
  if (byId("key").value) headers.Authorization = `Bearer ${byId("key").value}`;
  const options = body ? { method: "POST", headers, body: JSON.stringify(body) } : { headers };
  const response = await fetch(path, options);
  const values = await response.json();
  if (!response.ok) throw new Error(values.error.message);
  return values;
}

function request(texts, role) {
  const body = { model: info.served_model_names[0], input: texts, input_type: role };
  const task = byId("task").value;
  if (role === "query" && task && info.default_task !== null) body.task = task;
  return body;
}

async function embed(texts, role) {
  return await ask("v1/embeddings", request(texts, role));
}

const dot = (left, right) => left.reduce((sum, value, index) => sum + value * right[index], 0);

function element(kind, text, className) {
  const made = document.createElement(kind);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

const clipped = (text) => text.length > 200 ? `${text.slice(0, 200)}…` : text;

function shade(cell, share) {
  const style = getComputedStyle(document.documentElement);
  const ends = ["--cold", "--warm"].map((name) => style.getPropertyValue(name).split(",").map(Number));
  const mixed = ends[0].map((cold, index) => Math.round(cold + (ends[1][index] - cold) * share));
  cell.style.backgroundColor = `rgb(${mixed})`;
  const light = (0.299 * mixed[0] + 0.587 * mixed[1] + 0.114 * mixed[2]) / 255;
  cell.style.color = light > 0.5 ? "#1c1b19" : "#fcfbf8";
}

function drawMatrix(texts, vectors) {
  const cosines = vectors.map((left) => vectors.map((right) => dot(left, right)));
  const others = cosines.flatMap((row, index) => row.filter((_, column) => column !== index));
  const low = Math.min(...others), high = Math.max(...others);
  const table = element("table", undefined, "matrix");
  const head = table.createTHead().insertRow();
  head.append(element("td"), ...texts.map((_, index) => element("th", String(index + 1))));
  texts.forEach((text, row) => {
    const line = table.insertRow();
    const name = element("th", `${row + 1}  ${text}`);
    name.title = text;
    line.append(name);
    cosines[row].forEach((cosine, column) => {
      const cell = element("td", row === column ? "" : cosine.toFixed(3));
      if (row !== column) shade(cell, high > low ? (cosine - low) / (high - low) : 1);
      line.append(cell);
    });
  });
  byId("picture").replaceChildren(table);
}

function drawRanking(texts, query, vectors) {
  const rows = texts.map((text, index) => ({ text, cosine: dot(query, vectors[index]) }));
  rows.sort((left, right) => right.cosine - left.cosine);
  const low = rows[rows.length - 1].cosine, high = rows[0].cosine;
  byId("ranking").replaceChildren(...rows.map((row) => {
    const item = element("li", clipped(row.text) + " ");
    item.append(element("span", row.cosine.toFixed(3), "soft number"));
    const bar = element("span", undefined, "bar");
    bar.style.width = `${high > low ? 8 + 92 * (row.cosine - low) / (high - low) : 100}%`;
    item.append(bar);
    return item;
  }));
}

async function drawTokens(texts, roles) {
  const counted = [];
  for (const role of new Set(roles)) {
    const own = texts.filter((_, index) => roles[index] === role);
    const rows = await ask("tokenize", { inputs: own, prompt_name: role });
    own.forEach((text, index) => counted.push({ text, tokens: rows[index].length }));
  }
  const body = byId("tokens").tBodies[0];
  body.replaceChildren(...counted.map((row) => {
    const line = element("tr");
    const cut = row.tokens > info.max_input_length;
    line.append(element("td", clipped(row.text)), element("td", String(row.tokens), "number"));
    line.append(element("td", cut ? `cut to ${info.max_input_length}` : "", "bad"));
    return line;
  }));
}

async function compare() {
  const texts = lines(), role = byId("role").value;
  if (!texts.length) throw new Error("there is no text: write one a line");
  const answer = await embed(texts, role);
  drawMatrix(texts, answer.data.map((row) => row.embedding));
  byId("ranking").replaceChildren();
  byId("answer-title").textContent = "Similarity of every pair";
  return { answers: [answer], texts, roles: texts.map(() => role) };
}

async function rank() {
  const texts = lines(), query = byId("query").value;
  if (!texts.length || !query.trim()) throw new Error("a query and at least one document are needed");
  const [asked, answer] = [await embed([query], "query"), await embed(texts, "document")];
  drawRanking(texts, asked.data[0].embedding, answer.data.map((row) => row.embedding));
  byId("picture").replaceChildren();
  byId("answer-title").textContent = "Best first";
  return { answers: [asked, answer], texts: [query, ...texts], roles: ["query", ...texts.map(() => "document")] };
}

async function submit(event) {
  event.preventDefault();
  const button = document.querySelector("button.main");
  button.disabled = true;
  say("");
  try {
    if (!info) await about();
    const started = performance.now();
    const done = await (mode() === "rank" ? rank() : compare());
    const milliseconds = Math.round(performance.now() - started);
    const tokens = done.answers.reduce((sum, answer) => sum + answer.usage.total_tokens, 0);
    const cut = done.answers.reduce((sum, answer) => sum + answer.truncated, 0);
    byId("facts").textContent = `${done.texts.length} texts, ${tokens} tokens, ${milliseconds} ms` +
      (cut ? `; ${cut} cut to ${info.max_input_length} tokens` : "") +
      ". Compare values with each other: between any two texts they lie high in this family.";
    await drawTokens(done.texts, done.roles);
    byId("answer").hidden = false;
  } catch (error) {
    say(error.message, true);
  }
  button.disabled = false;
}

function say(text, bad) {
  byId("said").textContent = text;
  byId("said").className = bad ? "bad" : "soft";
}

function shown() {
  const texts = mode() === "rank" ? [byId("query").value] : lines();
  return request(texts, mode() === "rank" ? "query" : byId("role").value);
}

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

function asCurl() {
  const key = byId("key").value ? ` \\\n  -H "Authorization: Bearer $E5_KEY"` : "";
  return `curl ${location.origin}/v1/embeddings -H 'Content-Type: application/json'${key} \\\n` +
    `  -d ${quoted(JSON.stringify(shown()))}`;
}

function asPython() {
  const { model, input, ...extra } = shown();
  return "import os\n\nfrom openai import OpenAI\n\n" +
    `client = OpenAI(base_url="${location.origin}/v1", api_key=os.environ.get("E5_KEY", "none"))\n` +
    `answer = client.embeddings.create(\n    model=${JSON.stringify(model)},\n` +
    `    input=${JSON.stringify(input)},\n    extra_body=${JSON.stringify(extra)},\n)\n` +
    "print(len(answer.data[0].embedding))\n";
}

async function copy(make) {
  try {
    if (!info) await about();
    const text = make();
    await navigator.clipboard.writeText(text);
    say("copied");
  } catch (error) {
    say(error.message, true);
  }
}

function showMode() {
  const ranking = mode() === "rank";
  byId("query-row").hidden = !ranking;
  byId("role-row").hidden = ranking;
  byId("texts-label").textContent = ranking ? "Documents, one a line" : "Texts, one a line, in any languages";
}

async function about() {
  info = await ask("info");
  byId("about").textContent =
    `${info.model_id}, ${info.model_dtype}, ${info.dimension} dimensions, ${info.max_input_length} tokens`;
  byId("task-row").hidden = info.default_task === null;
  if (info.default_task) byId("task").placeholder = info.default_task;
}

document.querySelectorAll("input[name=mode]").forEach((input) => input.addEventListener("change", showMode));
byId("form").addEventListener("submit", submit);
byId("copy-curl").addEventListener("click", () => copy(asCurl));
byId("copy-python").addEventListener("click", () => copy(asPython));
showMode();
about().catch(() => { byId("about").textContent = "This server wants a key: write it below."; });
