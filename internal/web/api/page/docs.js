"use strict";
// Shows the description of /openapi.json. Everything is put into the page as text, never as HTML.

const methods = ["get", "post", "put", "patch", "delete"];
let api;

function el(name, attributes, ...children) {
  const e = document.createElement(name);
  for (const [k, v] of Object.entries(attributes || {})) {
    if (k.startsWith("on")) e.addEventListener(k.slice(2), v);
    else if (v !== undefined && v !== false) e.setAttribute(k, v);
  }
  for (const c of children.flat()) if (c !== undefined && c !== null && c !== "") e.append(c);
  return e;
}

function resolve(node) {
  while (node && node.$ref) node = node.$ref.slice(2).split("/").reduce((at, part) => at && at[part.replace(/~1/g, "/").replace(/~0/g, "~")], api);
  return node || {};
}

function typeOf(schema) {
  const name = schema.$ref ? schema.$ref.split("/").pop() : "";
  const s = resolve(schema);
  if (s.type === "array") return "list of " + typeOf(s.items || {});
  if (s.enum) return s.enum.join(" | ");
  if (s.const !== undefined) return String(s.const);
  if (s.type === "object" && s.additionalProperties) return "map of " + typeOf(s.additionalProperties);
  return name || (s.type ? s.type + (s.format ? " (" + s.format + ")" : "") : "anything");
}

// shape lists the members of a schema; what is nested is read when it is opened.
function shape(schema, seen) {
  const s = resolve(schema);
  if (s.type === "array") return shape(s.items || {}, seen);
  if (s.type === "object" && s.additionalProperties && !s.properties) return shape(s.additionalProperties, seen);
  if (!s.properties) return null;
  const required = new Set(s.required || []);
  return el("ul", { class: "shape" }, Object.entries(s.properties).map(([name, member]) => {
    const m = resolve(member), head = [el("code", {}, name), " ", el("span", { class: "faint" }, typeOf(member) + (required.has(name) ? "" : ", optional")),
      member.description || m.description ? el("span", {}, " – " + (member.description || m.description)) : ""];
    let inner = member;
    while (resolve(inner).type === "array") inner = resolve(inner).items || {};
    const key = inner.$ref || JSON.stringify(inner);
    if (!resolve(inner).properties || seen.includes(key)) return el("li", {}, head);
    const d = el("details", {}, el("summary", {}, head));
    d.addEventListener("toggle", () => { if (d.open && d.children.length === 1) d.append(shape(inner, [...seen, key]) || ""); });
    return el("li", {}, d);
  }));
}

// example is a body to begin with.
function example(schema, depth) {
  const s = resolve(schema);
  if (s.enum) return s.enum[0];
  switch (s.type) {
    case "string": return s.format === "date-time" ? new Date().toISOString() : "";
    case "integer": case "number": return 0;
    case "boolean": return false;
    case "array": return depth > 3 ? [] : [example(s.items || {}, depth + 1)];
    case "object": {
      const out = {};
      for (const [k, v] of Object.entries(s.properties || {})) if (depth < 3) out[k] = example(v, depth + 1);
      return out;
    }
  }
  return null;
}

function parameters(op) {
  const list = (op.parameters || []).map(resolve);
  if (!list.length) return null;
  return [el("h3", {}, "Parameters"), el("div", { class: "wide" }, el("table", {}, el("thead", {}, el("tr", {}, ["name", "where", "what"].map((h) => el("th", {}, h)))),
    el("tbody", {}, list.map((p) => el("tr", {}, el("td", {}, el("code", {}, p.name), p.required ? " (needed)" : ""), el("td", {}, p.in),
      el("td", {}, typeOf(p.schema || {}), p.description ? " – " + p.description : ""))))))];
}

function body(op) {
  const content = op.requestBody && resolve(op.requestBody).content;
  if (!content) return null;
  return [el("h3", {}, "Body"), Object.entries(content).map(([type, c]) => [el("p", { class: "faint" }, type + ": " + typeOf(c.schema || {})), shape(c.schema || {}, [])])];
}

function answers(op) {
  const codes = Object.entries(op.responses || {});
  const good = codes.filter(([c]) => c[0] === "2" || c[0] === "3"), bad = codes.filter(([c]) => !(c[0] === "2" || c[0] === "3"));
  return [el("h3", {}, "Answer"), good.map(([code, r]) => {
    r = resolve(r);
    return [el("p", { class: "faint" }, code + " " + (r.description || "")), Object.entries(r.content || {}).map(([type, c]) => [el("p", { class: "faint" }, type), shape(c.schema || {}, [])])];
  }), el("h3", {}, "Refusals and failures"), el("ul", { class: "shape" }, bad.map(([code, r]) => el("li", {}, el("code", {}, code), " " + (resolve(r).description || ""))))];
}

function tryOut(method, path, op) {
  const inputs = (op.parameters || []).map(resolve).map((p) => {
    const schema = resolve(p.schema || {});
    const input = schema.enum ? el("select", {}, el("option", { value: "" }, ""), schema.enum.map((v) => el("option", {}, v))) : el("input", { autocomplete: "off", spellcheck: "false" });
    return { p, input };
  });
  const content = op.requestBody && resolve(op.requestBody).content;
  const json = content && content["application/json"];
  const text = json ? el("textarea", { "aria-label": "body", spellcheck: "false" }, JSON.stringify(example(json.schema || {}, 0), null, 2)) : null;
  const out = el("div", { "aria-live": "polite" });
  const send = async () => {
    let url = path;
    const query = new URLSearchParams(), headers = { Accept: "application/json" };
    for (const { p, input } of inputs) {
      if (p.in === "path") url = url.replace("{" + p.name + "}", encodeURIComponent(input.value));
      else if (!input.value) continue;
      else if (p.in === "query") query.append(p.name, input.value);
      else if (p.in === "header") headers[p.name] = input.value;
    }
    const token = document.getElementById("token").value.trim();
    if (token) headers.Authorization = "Bearer " + token;
    if (text) headers["Content-Type"] = "application/json";
    if ([...query].length) url += "?" + query;
    out.replaceChildren(el("p", { class: "faint" }, "…"));
    try {
      const begun = performance.now();
      const res = await fetch(url, { method: method.toUpperCase(), headers, body: text ? text.value : undefined, credentials: token ? "omit" : "same-origin", redirect: "manual" });
      let said = await res.text();
      try { said = JSON.stringify(JSON.parse(said), null, 2); } catch { /* it is no JSON: shown as it is */ }
      if (said.length > 200000) said = said.slice(0, 200000) + "\n… (" + said.length + " characters)";
      out.replaceChildren(el("p", {}, el("code", {}, res.status + " " + res.statusText), " " + Math.round(performance.now() - begun) + " ms"),
        el("pre", {}, [...res.headers].map(([k, v]) => k + ": " + v).join("\n")), el("pre", {}, said));
    } catch (e) {
      out.replaceChildren(el("p", {}, "The request came to nothing: " + e.message));
    }
  };
  return el("details", {}, el("summary", {}, "Try it out"), inputs.map(({ p, input }) => el("label", {}, p.name + " (" + p.in + ")", input)), text, el("p", {}, el("button", { type: "button", onclick: send }, "Send " + method.toUpperCase())), out);
}

function operation(method, path, op) {
  const d = el("details", { class: "op", id: op.operationId }, el("summary", {}, el("span", { class: "method " + method }, method.toUpperCase()),
    el("span", { class: "path" + (op.deprecated ? " gone" : "") }, path), el("span", { class: "said" }, op.summary + (op.deprecated ? " (deprecated)" : ""))));
  d.addEventListener("toggle", () => {
    if (!d.open || d.children.length > 1) return;
    d.append(el("div", { class: "inside" }, op.description ? el("p", {}, op.description) : "", el("p", { class: "faint" }, "Who may call it: " + said(op["x-permission"])),
      parameters(op) || "", body(op) || "", answers(op), tryOut(method, path, op)));
  });
  return d;
}

function said(need) {
  return need === "public" ? "everybody" : need === "known" ? "whoever is signed in" : "whoever holds the permission " + need;
}

function show(wanted) {
  const words = wanted.toLowerCase().split(/\s+/).filter(Boolean), groups = new Map();
  for (const [path, item] of Object.entries(api.paths)) for (const method of methods) {
    const op = item[method];
    if (!op) continue;
    const text = (method + " " + path + " " + op.summary + " " + op["x-permission"]).toLowerCase();
    if (!words.every((w) => text.includes(w))) continue;
    const tag = (op.tags || ["other"])[0];
    if (!groups.has(tag)) groups.set(tag, []);
    groups.get(tag).push([path, method, op]);
  }
  const tags = [...groups.keys()].sort();
  document.getElementById("tags").replaceChildren(...tags.map((t) => el("a", { href: "#tag-" + t }, t)));
  document.getElementById("list").replaceChildren(...(tags.length ? tags.map((t) => el("section", { id: "tag-" + t }, el("h2", {}, t),
    groups.get(t).sort((a, b) => a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : methods.indexOf(a[1]) - methods.indexOf(b[1])).map(([p, m, o]) => operation(m, p, o)))) : [el("p", {}, "Nothing fits.")]));
}

async function begin() {
  const list = document.getElementById("list");
  try {
    const res = await fetch("/openapi.json");
    if (!res.ok) throw new Error("status " + res.status);
    api = await res.json();
  } catch (e) {
    list.replaceChildren(el("p", {}, "The description cannot be read: " + e.message));
    return;
  }
  document.title = api.info.title + " API";
  document.getElementById("title").textContent = api.info.title + " API " + api.info.version;
  document.getElementById("about").textContent = api.info.description || "";
  const find = document.getElementById("find");
  find.addEventListener("input", () => show(find.value));
  show("");
  const at = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (at) { at.open = true; at.scrollIntoView(); }
}

begin();
