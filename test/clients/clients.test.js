// Clients of others, unchanged, against a running server: NILECARE_TEST_BASE is its FHIR base URL.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";

import { Client as KitClient } from "fhir-kit-client";
import fhirclient from "fhirclient";

const base = process.env.NILECARE_TEST_BASE;
assert.ok(base, "NILECARE_TEST_BASE is not set");

// A family name that no other test uses, of letters alone.
const family = () => "Q" + randomUUID().replace(/[^a-f]/g, "") + Date.now().toString(36).replace(/[0-9]/g, "x");
const patient = (name, given) => ({ resourceType: "Patient", name: [{ family: name, given: [given] }], gender: "female", birthDate: "1980-02-29" });

// What both clients are asked to do, in words of the test's own.
const clients = {
  "fhir-kit-client": () => {
    const c = new KitClient({ baseUrl: base });
    return {
      create: (r) => c.create({ resourceType: r.resourceType, body: r }),
      read: (type, id) => c.read({ resourceType: type, id }),
      update: (r) => c.update({ resourceType: r.resourceType, id: r.id, body: r }),
      patch: (type, id, ops) => c.patch({ resourceType: type, id, jsonPatch: ops }),
      remove: (type, id) => c.delete({ resourceType: type, id }),
      transaction: (body) => c.transaction({ body }),
      pages: async function* (type, searchParams) {
        let page = await c.search({ resourceType: type, searchParams });
        while (page) {
          yield page;
          page = await c.nextPage({ bundle: page });
        }
      },
      status: (e) => e.response?.status,
      more: c,
    };
  },
  fhirclient: () => {
    const c = fhirclient({ url: base + "/metadata", headers: {} }, { writeHead() {}, end() {} }).client({ serverUrl: base });
    return {
      create: (r) => c.create(r),
      read: (type, id) => c.request(`${type}/${id}`),
      update: (r) => c.update(r),
      patch: (type, id, ops) => c.patch(`${type}/${id}`, ops),
      remove: (type, id) => c.delete(`${type}/${id}`),
      transaction: (body) => c.request({ url: "", method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/fhir+json" } }),
      pages: (type, searchParams) => c.pages(`${type}?${new URLSearchParams(searchParams)}`),
      status: (e) => e.status ?? e.statusCode,
      more: c,
    };
  },
};

for (const [name, make] of Object.entries(clients)) {
  test(`${name}: create, read, update, patch, delete`, async () => {
    const c = make();
    const made = await c.create(patient(family(), "Amina"));
    assert.ok(made.id);
    assert.equal(made.meta.versionId, "1");
    assert.deepEqual(await c.read("Patient", made.id), made);

    const changed = await c.update({ ...made, active: true });
    assert.equal(changed.meta.versionId, "2");
    assert.equal(changed.active, true);

    const patched = await c.patch("Patient", made.id, [{ op: "replace", path: "/birthDate", value: "1981-03-01" }]);
    assert.equal(patched.birthDate, "1981-03-01");
    assert.equal(patched.meta.versionId, "3");

    await c.remove("Patient", made.id);
    await assert.rejects(c.read("Patient", made.id), (e) => c.status(e) === 410);
    await assert.rejects(c.read("Patient", "nobody-" + randomUUID()), (e) => c.status(e) === 404);
    await assert.rejects(c.create({ ...patient(family(), "Amina"), gender: "no code of the binding" }), (e) => [400, 422].includes(c.status(e)));
  });

  test(`${name}: a transaction, and a search through its pages`, async () => {
    const c = make();
    const surname = family();
    const given = [...Array(23).keys()].map((i) => `Given${String.fromCharCode(97 + i)}`);
    const entry = given.map((g) => ({ fullUrl: "urn:uuid:" + randomUUID(), resource: patient(surname, g), request: { method: "POST", url: "Patient" } }));
    entry.push({
      fullUrl: "urn:uuid:" + randomUUID(),
      resource: { resourceType: "Observation", status: "final", code: { text: "weight" }, subject: { reference: entry[0].fullUrl }, valueQuantity: { value: 61.5, unit: "kg" } },
      request: { method: "POST", url: "Observation" },
    });
    const answer = await c.transaction({ resourceType: "Bundle", type: "transaction", entry });
    assert.equal(answer.type, "transaction-response");
    assert.equal(answer.entry.length, entry.length);
    for (const e of answer.entry) assert.match(e.response.status, /^201/);

    const found = new Set();
    let pages = 0;
    for await (const page of c.pages("Patient", { family: surname, _count: "10" })) {
      pages++;
      assert.equal(page.type, "searchset");
      for (const e of page.entry ?? []) found.add(e.resource.name[0].given[0]);
    }
    assert.equal(pages, 3);
    assert.deepEqual([...found].sort(), given);

    const first = answer.entry[0].response.location.match(/Patient\/([^/]+)/)[1];
    let observations = [];
    for await (const page of c.pages("Observation", { patient: first })) observations.push(...(page.entry ?? []));
    assert.equal(observations.length, 1);
    assert.equal(observations[0].resource.subject.reference, `Patient/${first}`);
    assert.equal(observations[0].resource.valueQuantity.value, 61.5);
  });
}

test("fhir-kit-client: versions, history, capability statement, compartment, an If-Match that comes too late", async () => {
  const c = clients["fhir-kit-client"]().more;
  const statement = await c.capabilityStatement();
  assert.equal(statement.fhirVersion, "4.0.1");
  const made = await c.create({ resourceType: "Patient", body: patient(family(), "Sara") });
  await c.update({ resourceType: "Patient", id: made.id, body: { ...made, active: false } });
  const old = await c.vread({ resourceType: "Patient", id: made.id, version: "1" });
  assert.equal(old.active, undefined);
  const history = await c.history({ resourceType: "Patient", id: made.id });
  assert.equal(history.type, "history");
  assert.deepEqual(history.entry.map((e) => e.resource.meta.versionId), ["2", "1"]);
  await c.create({ resourceType: "Condition", body: { resourceType: "Condition", code: { text: "fever" }, subject: { reference: `Patient/${made.id}` } } });
  const mine = await c.search({ resourceType: "Condition", compartment: { resourceType: "Patient", id: made.id } });
  assert.equal(mine.entry.length, 1);
  await assert.rejects(
    c.update({ resourceType: "Patient", id: made.id, body: made, options: { headers: { "If-Match": 'W/"1"' } } }),
    (e) => e.response.status === 412,
  );
});

test("fhirclient: one patient's context, references resolved", async () => {
  const c = clients.fhirclient().more;
  const made = await c.create(patient(family(), "Hala"));
  await c.create({ resourceType: "Observation", status: "final", code: { text: "pulse" }, subject: { reference: `Patient/${made.id}` } });
  const page = await c.request(`Observation?subject=Patient/${made.id}`, { resolveReferences: "entry.resource.subject" });
  assert.equal(page.entry.length, 1);
  assert.equal(await c.getFhirRelease(), 4);
});
