// The clinic of these tests: a running server on which people sign in. NILECARE_TEST_BASE is its FHIR base URL, NILECARE_TEST_KEY an API key
// for the records, NILECARE_TEST_PASSWORD the password of admin@, doctor@ and amina@clinic.example, of whom the last is Patient/amina.
import assert from "node:assert/strict";
import { generateKeyPairSync, randomUUID } from "node:crypto";
import { createServer } from "node:http";

function needed(name) {
  assert.ok(process.env[name], name + " is not set");
  return process.env[name];
}

export const base = needed("NILECARE_TEST_BASE");
export const root = base.slice(0, -"/fhir/R4".length);
export const password = needed("NILECARE_TEST_PASSWORD");
export const doctor = "doctor@clinic.example";
export const amina = "amina@clinic.example";

export async function send(method, path, body, token) {
  const headers = { accept: "application/json" };
  if (body !== undefined) headers["content-type"] = path.startsWith("/fhir/") ? "application/fhir+json" : "application/json";
  if (token) headers.authorization = "Bearer " + token;
  const answer = await fetch(root + path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  const text = await answer.text();
  return { status: answer.status, body: text ? JSON.parse(text) : undefined };
}

async function must(...args) {
  const { status, body } = await send(...args);
  assert.ok(status >= 200 && status < 300, `${args[0]} ${args[1]}: ${status} ${JSON.stringify(body)}`);
  return body;
}

// The product's own token of a user.
export async function login(email) {
  const { data } = await must("POST", "/api/v1/auth/login", { email, password });
  assert.ok(data.accessToken);
  return data.accessToken;
}

// What is registered, by an administrator: an app, with its secret where it has one.
export async function register(meta) {
  const { data } = await must("POST", "/api/v1/oauth/clients", { client_name: "App " + randomUUID(), ...meta }, await login("admin@clinic.example"));
  return data.client;
}

export async function initialAccessToken() {
  const { data } = await must("POST", "/api/v1/oauth/initial-access-tokens", { name: "test" }, await login("admin@clinic.example"));
  return data.initial_access_token;
}

// A handle for an EHR launch by somebody.
export async function launch(email, order) {
  const { data } = await must("POST", "/api/v1/oauth/launch", order, await login(email));
  return data;
}

// Two patients with an observation each, an encounter of the first.
export async function fill() {
  const key = needed("NILECARE_TEST_KEY");
  const put = (r) => must("PUT", `/fhir/R4/${r.resourceType}/${r.id}`, r, key);
  await put({ resourceType: "Patient", id: "amina", name: [{ family: "Hassan", given: ["Amina"] }], gender: "female", birthDate: "1990-02-03" });
  await put({ resourceType: "Patient", id: "bakri", name: [{ family: "Osman", given: ["Bakri"] }], gender: "male", birthDate: "1985-05-05" });
  for (const who of ["amina", "bakri"]) {
    const subject = { reference: "Patient/" + who };
    await put({ resourceType: "Observation", id: "weight-" + who, status: "final", code: { text: "weight" }, subject, valueQuantity: { value: 61.5, unit: "kg" } });
  }
  const subject = { reference: "Patient/amina" };
  await put({ resourceType: "Encounter", id: "visit", status: "in-progress", class: { system: "http://terminology.hl7.org/CodeSystem/v3-ActCode", code: "AMB" }, subject });
}

// A signing key of an app: [private JWK, what is registered].
export function keyPair(alg = "ES384", namedCurve = "P-384") {
  const pair = generateKeyPairSync("ec", { namedCurve });
  const named = { kid: randomUUID(), alg };
  return {
    kid: named.kid,
    jwk: { ...pair.privateKey.export({ format: "jwk" }), ...named },
    crypto: () => crypto.subtle.importKey("jwk", pair.privateKey.export({ format: "jwk" }), { name: "ECDSA", namedCurve }, false, ["sign"]),
    jwks: { keys: [{ ...pair.publicKey.export({ format: "jwk" }), ...named, use: "sig" }] },
  };
}

// An app's own server on this machine: pages maps a path to what answers it.
export async function app(t, pages) {
  const server = createServer(async (req, res) => {
    const page = pages[new URL(req.url, "http://app").pathname];
    try {
      if (!page) res.writeHead(404);
      else await page(req, res);
    } catch (e) {
      if (!res.headersSent) res.writeHead(500);
      res.write(String(e));
    }
    if (!res.writableEnded) res.end();
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${server.address().port}`;
}
