// A person's browser, as far as a sign-in needs one: cookies, redirections, and the forms of a page.
import assert from "node:assert/strict";

const entities = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" };
const unescape = (s) =>
  s.replace(/&(?:#(\d+)|#x([0-9a-f]+)|(\w+));/gi, (all, dec, hex, name) =>
    dec ? String.fromCodePoint(+dec) : hex ? String.fromCodePoint(parseInt(hex, 16)) : (entities[name] ?? all),
  );

// What stands in a tag: names and values.
function attributes(tag) {
  const out = {};
  for (const [, name, quoted, bare] of tag.matchAll(/([a-z_-]+)(?:="([^"]*)"|=([^\s">]+))?/gi)) out[name.toLowerCase()] = unescape(quoted ?? bare ?? "");
  return out;
}

// The forms of a page: where each goes, what it would send, and its buttons.
export function formsOf(html) {
  return [...html.matchAll(/<form\b([^>]*)>(.*?)<\/form>/gis)].map(([, head, inside]) => {
    const { action = "", method = "get" } = attributes(head);
    const fields = [];
    const buttons = [];
    for (const [, input, button, text] of inside.matchAll(/<(?:input\b([^>]*)|button\b([^>]*)>(.*?)<\/button)>/gis)) {
      const a = attributes(input ?? button);
      if (input === undefined) buttons.push({ name: a.name, value: a.value ?? "", text: unescape((text ?? "").replace(/<[^>]*>/g, "")).trim() });
      else if (a.name && (a.type !== "checkbox" || "checked" in a)) fields.push([a.name, a.value ?? ""]);
    }
    return { action, method: method.toLowerCase(), fields, buttons };
  });
}

export class Browser {
  #jars = new Map(); // cookies by origin

  constructor() {
    this.url = null;
    this.status = 0;
    this.html = "";
  }

  get(url) {
    return this.#go("GET", new URL(url, this.url ?? undefined));
  }

  // Sends the form that goes to action: its fields, changed by set, without the checkboxes of drop, and by the button that press finds.
  submit(action, { set = {}, drop = [], press } = {}) {
    const candidates = formsOf(this.html).filter((f) => new URL(f.action, this.url).pathname.endsWith(action));
    const form = candidates.find((f) => !press || f.buttons.some(press));
    assert.ok(form, `the page has no such form ${action} (${this.status} ${this.url}):\n${this.html}`);
    assert.equal(form.method, "post");
    const sent = form.fields.filter(([name, value]) => !(name in set) && !(name === "scope" && drop.includes(value)));
    for (const [name, value] of Object.entries(set)) sent.push([name, value]);
    if (press) {
      const button = form.buttons.find(press);
      if (button.name) sent.push([button.name, button.value]);
    }
    return this.#go("POST", new URL(form.action, this.url), new URLSearchParams(sent).toString());
  }

  // Goes where it is led, across servers, until a page answers.
  async #go(method, url, body) {
    for (let hops = 0; hops < 20; hops++) {
      const from = this.url;
      const headers = { accept: "text/html", cookie: this.#cookies(url) };
      if (method === "POST") Object.assign(headers, { "content-type": "application/x-www-form-urlencoded", origin: from?.origin ?? url.origin });
      const answer = await fetch(url, { method, headers, body, redirect: "manual" });
      this.#keep(url, answer.headers.getSetCookie());
      this.url = url;
      this.status = answer.status;
      this.html = await answer.text();
      const to = answer.headers.get("location");
      if (to === null || answer.status < 300 || answer.status > 399) return this;
      [method, url, body] = ["GET", new URL(to, url), undefined];
      if (this.stopBefore?.(url)) {
        this.url = url;
        return this;
      }
    }
    assert.fail("too many redirections");
  }

  #cookies(url) {
    return [...(this.#jars.get(url.origin) ?? [])].map(([name, value]) => `${name}=${value}`).join("; ");
  }

  #keep(url, lines) {
    const jar = this.#jars.get(url.origin) ?? new Map();
    this.#jars.set(url.origin, jar);
    for (const line of lines) {
      const [pair, ...rest] = line.split(";");
      const at = pair.indexOf("=");
      if (rest.some((a) => /^\s*max-age=(0|-\d+)\s*$/i.test(a))) jar.delete(pair.slice(0, at));
      else jar.set(pair.slice(0, at), pair.slice(at + 1));
    }
  }

  // What a person does on the pages of a sign-in.

  signIn(email, password) {
    return this.submit("/oauth2/login", { set: { email, password } });
  }

  // Looks for a patient by a name and picks the one whose button says so.
  async pick(name) {
    await this.submit("/oauth2/patient", { set: { name } });
    return this.submit("/oauth2/patient", { press: (b) => b.name === "patient" && b.text.includes(name) });
  }

  allow(drop = []) {
    return this.submit("/oauth2/consent", { drop, press: (b) => b.name === "allow" });
  }

  deny() {
    return this.submit("/oauth2/consent", { press: (b) => b.name === "deny" });
  }
}
