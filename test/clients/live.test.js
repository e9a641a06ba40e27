// socket.io-client, unchanged, and Server-Sent Events by fetch: what happens, told as it happens. NILECARE_TEST_SOCKETS is how many clients the crowd has (500).
import assert from "node:assert/strict";
import { before, test } from "node:test";

import { io } from "socket.io-client";

import { amina, base, doctor, fill, login, root, send } from "./clinic.js";

before(fill);

const key = process.env.NILECARE_TEST_KEY;
const crowd = Number(process.env.NILECARE_TEST_SOCKETS ?? 500);
const slow = 60_000; // what must come comes by then, however busy the machine is

const once = (emitter, name) =>
  new Promise((done, failed) => {
    const t = setTimeout(() => failed(new Error("nothing came: " + name)), slow);
    emitter.once(name, (...args) => {
      clearTimeout(t);
      done(args.length > 1 ? args : args[0]);
    });
  });

async function until(true_) {
  for (const end = Date.now() + slow; !true_(); ) {
    assert.ok(Date.now() < end, "it did not come");
    await new Promise((done) => setTimeout(done, 5));
  }
}

function client(t, token, options = {}) {
  const socket = io(root, { auth: token === undefined ? undefined : { token }, reconnection: false, forceNew: true, ...options });
  t.after(() => socket.close());
  return socket;
}

async function connected(t, token, options) {
  const socket = client(t, token, options);
  const failed = (e) => socket.listeners("connect").forEach((f) => f(e)); // then it need not be waited for
  socket.once("connect_error", failed);
  const e = await once(socket, "connect");
  socket.off("connect_error", failed);
  if (e) throw e;
  return socket;
}

async function refusal(t, token, options) {
  const socket = client(t, token, options);
  const e = await once(socket, "connect_error");
  return e;
}

async function must(...args) {
  const { status, body } = await send(...args);
  assert.ok(status >= 200 && status < 300, `${args[0]} ${args[1]}: ${status} ${JSON.stringify(body)}`);
  return body;
}

let measured = 0;
// A heart rate of a patient, each at a time of its own. It answers with when that was, which tells it apart.
async function heartRate(patient, value) {
  const effectiveDateTime = new Date(Date.UTC(2026, 0, 1) + 1000 * measured++).toISOString();
  await must("POST", "/fhir/R4/Observation", {
    resourceType: "Observation", status: "final", category: [{ coding: [{ system: "http://terminology.hl7.org/CodeSystem/observation-category", code: "vital-signs" }] }],
    code: { coding: [{ system: "http://loinc.org", code: "8867-4" }] }, subject: { reference: "Patient/" + patient }, effectiveDateTime, valueQuantity: { value, unit: "/min", system: "http://unitsofmeasure.org", code: "/min" },
  }, key);
  return effectiveDateTime;
}

test("it begins by polling, changes over to WebSocket, and is told of a patient whom it watches", async (t) => {
  const socket = await connected(t, await login(doctor));
  if (socket.io.engine.transport.name !== "websocket") await once(socket.io.engine, "upgrade");
  assert.equal(socket.io.engine.transport.name, "websocket");
  assert.deepEqual(await socket.emitWithAck("subscribe:patient", "amina"), { ok: true, room: "patient:amina" });
  const told = [];
  socket.onAny((name, data) => told.push([name, data.timestamp, data.heartRate]));
  const id = once(socket, "vitals:update");
  const at = await heartRate("amina", 71);
  const { patientId } = await id;
  await until(() => told.length >= 3);
  assert.deepEqual(told, ["vital:signs:update", "vitals:update", `patient:${patientId}:vitals`].map((name) => [name, at, 71]));
  const updated = once(socket, "patient:updated");
  await heartRate("bakri", 72); // nobody watches him
  await must("PUT", "/fhir/R4/Patient/bakri", { resourceType: "Patient", id: "bakri", name: [{ family: "Osman", given: ["Bakri"] }], gender: "male", birthDate: "1985-05-06" }, key);
  const changed = await updated;
  assert.ok(changed.patientId);
  assert.equal(JSON.stringify(changed).includes("Osman"), false, "a role is told no names");
  assert.equal(told.length, 4);
});

for (const transports of [["polling"], ["websocket"]]) {
  test("by " + transports + " alone", async (t) => {
    const socket = await connected(t, await login(doctor), { transports });
    assert.equal((await socket.emitWithAck("subscribe:patient", { patientId: "amina" })).ok, true);
    const seen = [];
    socket.on("vitals:update", (v) => seen.push(v.heartRate));
    for (let i = 60; i < 80; i++) await heartRate("amina", i);
    await until(() => seen.length >= 20);
    assert.deepEqual(seen, Array.from({ length: 20 }, (_, i) => 60 + i));
  });
}

test("who has no valid token is told why", async (t) => {
  for (const transports of [["polling"], ["websocket"]]) {
    const nobody = await refusal(t, undefined, { transports });
    assert.equal(nobody.data.code, "AUTHENTICATION_REQUIRED");
    assert.match(nobody.message, /sign in/);
    const wrong = await refusal(t, "eyJhbGciOiJub25lIn0.e30.", { transports });
    assert.equal(wrong.data.code, "INVALID_TOKEN");
  }
  const elsewhere = await refusal(t, await login(doctor), { extraHeaders: { Origin: "https://evil.example" } });
  assert.equal(elsewhere.type, "TransportError");
  const socket = await connected(t, undefined, { extraHeaders: { Authorization: "Bearer " + (await login(doctor)) } });
  assert.equal(socket.connected, true);
  const other = io(root + "/admin", { auth: { token: await login(doctor) }, reconnection: false, forceNew: true });
  t.after(() => other.close());
  assert.equal((await once(other, "connect_error")).message, "Invalid namespace");
});

test("a room is for whom may see what is told in it", async (t) => {
  const patient = await connected(t, await login(amina));
  assert.equal((await patient.emitWithAck("subscribe:patient", "amina")).ok, true);
  for (const room of ["patient:bakri", "patient-bakri", "role:doctor", "user:1", "clinical-team", "facility-1"]) {
    const answer = await patient.emitWithAck("subscribe:room", room);
    assert.equal(answer.ok, false, room);
    assert.equal(answer.code, "PERMISSION_DENIED", room);
    assert.ok(answer.error, room);
  }
  assert.equal((await patient.emitWithAck("join-room", "kitchen")).code, "NOT_FOUND");
  let told = 0;
  patient.onAny(() => told++);
  const vitals = once(patient, "vitals:update");
  await heartRate("bakri", 80);
  await heartRate("amina", 81);
  assert.equal((await vitals).heartRate, 81);
  await until(() => told >= 3);
  assert.equal(told, 3);
  assert.equal((await patient.emitWithAck("unsubscribe:patient", "amina")).ok, true);
});

test("a session that ends takes its connections along", async (t) => {
  const token = await login(doctor);
  const socket = await connected(t, token);
  const ended = once(socket, "session:ended");
  const gone = once(socket, "disconnect");
  await must("POST", "/api/v1/auth/logout", {}, token);
  assert.equal((await ended).code, "INVALID_TOKEN");
  const why = await gone;
  assert.equal(Array.isArray(why) ? why[0] : why, "io server disconnect");
  assert.equal((await refusal(t, token)).data.code, "INVALID_TOKEN");
});

// The events of a stream as they come: {id, event, data}.
async function* events(path, token, last) {
  const headers = { authorization: "Bearer " + token, ...(last ? { "last-event-id": last } : {}) };
  const answer = await fetch(root + path, { headers });
  assert.equal(answer.status, 200);
  assert.match(answer.headers.get("content-type"), /^text\/event-stream/);
  let rest = "";
  for await (const part of answer.body.pipeThrough(new TextDecoderStream())) {
    const blocks = (rest + part).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const e = Object.fromEntries(block.split("\n").map((line) => [line.slice(0, line.indexOf(": ")), line.slice(line.indexOf(": ") + 2)]));
      if (e.id || e.event) yield e;
    }
  }
}

test("Server-Sent Events go on where they were", async () => {
  const token = await login(doctor);
  let last;
  for await (const e of events("/api/v1/events/stream?rooms=patient:amina", token)) {
    last = e.id;
    break;
  }
  await heartRate("amina", 91);
  await heartRate("amina", 92);
  const seen = [];
  for await (const e of events("/api/v1/events/stream?rooms=patient:amina", token, last)) {
    if (e.event === "vitals:update") seen.push(JSON.parse(e.data).heartRate);
    if (seen.length === 2) break;
  }
  assert.deepEqual(seen, [91, 92]);
});

// Each of a crowd gets each event once and in order. How fast is measured, and printed; only that it is not beyond all bounds is asserted.
test(`${crowd} clients are told each event once, in order`, async (t) => {
  const token = await login(doctor);
  const all = [];
  for (let i = 0; i < crowd; i += 50) all.push(...(await Promise.all(Array.from({ length: Math.min(50, crowd - i) }, () => connected(t, token, { transports: ["websocket"] })))));
  const answers = await Promise.all(all.map((s) => s.emitWithAck("subscribe:patient", "amina")));
  assert.ok(answers.every((a) => a.ok));
  const rounds = 40;
  const begun = new Map(); // by the time of measuring: when it was sent, and when it was answered
  const got = all.map(() => []);
  const late = []; // from before the request to the client's hearing of it
  let heard = 0;
  const complete = new Promise((done) => {
    all.forEach((s, i) =>
      s.on("vitals:update", (v) => {
        late.push(performance.now() - begun.get(v.heartRate));
        got[i].push(v.heartRate);
        if (++heard === crowd * rounds) done();
      }),
    );
  });
  for (let i = 0; i < rounds; i++) {
    begun.set(40 + i, performance.now());
    await heartRate("amina", 40 + i);
    await new Promise((done) => setTimeout(done, 100));
  }
  let timer;
  await Promise.race([complete, new Promise((_, failed) => (timer = setTimeout(() => failed(new Error(`${heard} of ${crowd * rounds} came`)), slow)))]);
  clearTimeout(timer);
  const want = Array.from({ length: rounds }, (_, i) => 40 + i);
  for (const one of got) assert.deepEqual(one, want);
  late.sort((a, b) => a - b);
  const at = (q) => late[Math.min(late.length - 1, Math.floor(q * late.length))].toFixed(1);
  t.diagnostic(`from the request to the client, ${crowd} clients, ms: median ${at(0.5)}, 95 % ${at(0.95)}, 99 % ${at(0.99)}, most ${at(1)}`);
  assert.ok(late[Math.floor(late.length / 2)] < 5000, "half of it took seconds");
});
