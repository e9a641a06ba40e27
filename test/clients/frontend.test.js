// What an existing front end asks and reads, call by call, against a running server with the synthetic hospital: NILECARE_TEST_BASE is its FHIR base URL,
// NILECARE_TEST_ACCOUNTS the accounts that the hospital printed, as lines of "address password".
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";

const root = process.env.NILECARE_TEST_BASE?.slice(0, -"/fhir/R4".length);
assert.ok(root, "NILECARE_TEST_BASE is not set");
const accounts = Object.fromEntries(
  (process.env.NILECARE_TEST_ACCOUNTS ?? "").split("\n").map((line) => line.trim().split(/\s+/)).filter((parts) => parts.length === 2).map(([email, password]) => [email.split("@")[0], { email, password }]),
);

async function call(method, path, { token, body, headers } = {}) {
  const answer = await fetch(root + path, {
    method,
    headers: { accept: "application/json", ...(body === undefined ? {} : { "content-type": "application/json" }), ...(token ? { authorization: "Bearer " + token } : {}), ...headers },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const text = await answer.text();
  return { status: answer.status, body: text ? JSON.parse(text) : undefined, headers: answer.headers };
}

const tokens = {};
async function as(role) {
  if (!tokens[role]) {
    assert.ok(accounts[role], "the hospital has no account " + role);
    const { status, body } = await call("POST", "/api/v1/auth/login", { body: accounts[role] });
    assert.equal(status, 200, JSON.stringify(body));
    assert.ok(body.token && body.refreshToken && body.user.email && Array.isArray(body.user.permissions)); // read at the top level
    tokens[role] = body.token;
  }
  return tokens[role];
}

// What the front end does with an answer: success, data, and the pagination beside it.
async function ok(role, method, path, body) {
  const answer = await call(method, path, { token: await as(role), body });
  assert.ok(answer.status >= 200 && answer.status < 300, `${role} ${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
  assert.equal(answer.body.success, true);
  return answer.body;
}

async function refused(role, method, path, status, body) {
  const answer = await call(method, path, { token: role && (await as(role)), body });
  assert.equal(answer.status, status, `${role} ${method} ${path}: ${JSON.stringify(answer.body)}`);
  assert.equal(answer.body.success, false);
  assert.equal(typeof answer.body.error.code, "string");
  assert.equal(typeof answer.body.error.message, "string");
  assert.equal(answer.body.message, answer.body.error.message);
  assert.ok(answer.body.metadata.requestId);
  return answer.body;
}

const digits = (v) => assert.match(v, /^[0-9]+$/);
const text = (v) => assert.equal(typeof v, "string");
const some = (v) => assert.ok(typeof v === "string" && v !== "", JSON.stringify(v));
const number = (v) => assert.ok(Number.isFinite(v), JSON.stringify(v));
const figure = (v) => v === null || number(v); // null: nobody knows it, and "unavailable" says why
const list = (v) => assert.ok(Array.isArray(v), JSON.stringify(v));
const date = (v) => assert.match(v, /^\d{4}-\d{2}-\d{2}$/);
const clock = (v) => assert.match(v, /^\d{2}:\d{2}:\d{2}$/);
const stamp = (v) => assert.ok(!Number.isNaN(Date.parse(v)), v);
const oneOf = (...values) => (v) => assert.ok(values.includes(v), `${v} is none of ${values}`);
const maybe = (check) => (v) => v === undefined || v === null || check(v);

// reads holds an object against what is read of it.
function reads(what, fields) {
  assert.ok(what && typeof what === "object", JSON.stringify(what));
  for (const [name, check] of Object.entries(fields)) {
    try {
      check(what[name]);
    } catch (e) {
      e.message = `${name}: ${e.message} in ${JSON.stringify(what)}`;
      throw e;
    }
  }
}

const page = (body) => {
  reads(body.pagination, { page: number, limit: number, total: number, pages: number });
  reads(body.data.pagination, { page: number, limit: number, total: number, pages: number }); // the older one looks here
};

const patient = {
  id: digits, firstName: text, lastName: text, email: maybe(text), phone: maybe(text), phoneNumber: maybe(text), nationalId: maybe(text), dateOfBirth: maybe(date), gender: oneOf("male", "female", "other", "unknown"),
  address: text, city: maybe(text), country: maybe(text), bloodType: maybe(oneOf("A+", "A-", "B+", "B-", "AB+", "AB-", "O+", "O-")), emergencyContact: maybe((c) => reads(c, { name: text, phone: text, relationship: text })),
  allergies: list, medicalHistory: list, createdAt: stamp, updatedAt: stamp,
};
const appointment = {
  id: digits, patientId: digits, providerId: digits, appointmentDate: date, appointmentTime: clock, duration: number,
  status: oneOf("scheduled", "confirmed", "checked-in", "in-progress", "completed", "cancelled", "no-show"), reason: maybe(text), notes: maybe(text), patientFirstName: maybe(text), patientLastName: maybe(text),
  providerFirstName: maybe(text), providerLastName: maybe(text), createdAt: stamp, updatedAt: stamp, patient_id: digits, provider_id: digits, appointment_date: date, appointment_time: clock,
};
const facility = {
  id: digits, facilityCode: text, name: some, type: oneOf("hospital", "clinic", "lab", "pharmacy", "rehabilitation", "other"), address: text, city: text, state: text, country: text, phone: text, email: text,
  capacity: number, status: oneOf("active", "inactive", "maintenance"), createdAt: stamp, updatedAt: stamp,
};

// A day a few weeks on that the clinic works on.
function workday(weeks) {
  const d = new Date(Date.now() + weeks * 7 * 86400e3);
  while ([5, 6].includes(d.getUTCDay())) d.setUTCDate(d.getUTCDate() + 1);
  return d.toISOString().slice(0, 10);
}

const unique = () => String(BigInt("0x" + randomUUID().replaceAll("-", "").slice(0, 12)) % 10n ** 9n).padStart(9, "1");

test("patients: listed, registered, read, changed, searched, deleted", async () => {
  const listed = await ok("receptionist", "GET", "/api/v1/patients?page=1&limit=5");
  page(listed);
  assert.equal(listed.data.patients.length, 5);
  listed.data.patients.forEach((p) => reads(p, patient));

  const form = {
    firstName: "Amna", lastName: "Elnour", dateOfBirth: "1988-04-12", gender: "female", phone: "+249912345678", email: "amna." + unique() + "@example.org", nationalId: unique(), address: "Street 15, Riyadh", city: "Khartoum",
    country: "Sudan", bloodType: "O+", emergencyContact: { name: "Osman Elnour", phone: "+249912345679", relationship: "brother" }, allergies: ["Penicillin"], medicalHistory: ["Asthma"],
  };
  const made = (await ok("receptionist", "POST", "/api/v1/patients", form)).data;
  digits(made.id);
  reads(made.patient, patient);
  for (const name of ["firstName", "lastName", "dateOfBirth", "gender", "phone", "email", "nationalId", "city", "bloodType"]) assert.equal(made.patient[name], form[name], name);

  const seen = (await ok("doctor", "GET", "/api/v1/patients/" + made.id)).data;
  reads(seen.patient, patient);
  assert.deepEqual(seen.patient.allergies, ["Penicillin"]);
  assert.deepEqual(seen.patient.medicalHistory, ["Asthma"]);
  reads(seen, { firstName: some, phoneNumber: some, address: (a) => reads(a, { street: text, city: text, country: text }), emergencyContact: (c) => reads(c, { name: some, relationship: some, phoneNumber: some }) });
  const { body: resource } = await call("GET", "/fhir/R4/Patient/" + made.id, { token: await as("doctor") });
  assert.equal(resource.name[0].family, "Elnour");

  // A form sends back all that it was filled with: a receptionist's without what receptionists may not see.
  const filled = (await ok("receptionist", "GET", "/api/v1/patients/" + made.id)).data.patient;
  const changed = (await ok("receptionist", "PUT", "/api/v1/patients/" + made.id, { ...filled, city: "Omdurman" })).data;
  await ok("doctor", "PUT", "/api/v1/patients/" + made.id, { ...form, city: "Omdurman", allergies: ["Penicillin", "Peanut"] });
  assert.deepEqual((await ok("doctor", "GET", "/api/v1/patients/" + made.id)).data.patient.allergies.toSorted(), ["Peanut", "Penicillin"]);
  assert.equal(changed.patient.city, "Omdurman");
  const found = await ok("receptionist", "GET", "/api/v1/patients?search=" + form.nationalId);
  assert.deepEqual(found.data.patients.map((p) => p.id), [made.id]);
  const spelled = await ok("receptionist", "GET", "/api/v1/search/patients?q=" + encodeURIComponent("آمنة النور"));
  assert.ok(JSON.stringify(spelled.data).includes(`"${made.id}"`), "found by the Arabic spelling");

  const all = (await ok("doctor", "GET", `/api/v1/patients/${made.id}/complete`)).data;
  reads(all, { patient: (p) => digits(p.id), appointments: list, medications: list, labOrders: list, vitalSigns: list });
  await refused("receptionist", "POST", "/api/v1/patients", 409, { ...form, email: "other@example.org" });
  await refused("receptionist", "DELETE", "/api/v1/patients/" + made.id, 403);
  await ok("admin", "DELETE", "/api/v1/patients/" + made.id);
  await refused("doctor", "GET", "/api/v1/patients/" + made.id, 410);
  for (const id of ["1", "2", "3"]) reads((await ok("doctor", "GET", "/api/v1/patients/" + id)).data.patient, patient);
});

test("patients: what is wrong is told field by field", async () => {
  const { error } = await refused("receptionist", "POST", "/api/v1/patients", 400, { firstName: "A", lastName: "", dateOfBirth: "2999-01-01", gender: "none", email: "nobody" });
  assert.equal(error.code, "VALIDATION_ERROR");
  const fields = error.details.map((d) => d.field);
  for (const name of ["firstName", "lastName", "dateOfBirth", "gender", "email"]) assert.ok(fields.includes(name), name + " in " + fields);
  await refused("receptionist", "GET", "/api/v1/patients/999999", 404);
  await refused("receptionist", "GET", "/api/v1/patients?limit=101", 400);
  await refused("receptionist", "GET", "/api/v1/patients?colour=red", 400);
  await refused(undefined, "GET", "/api/v1/patients", 401);
});

test("appointments: slots, booking, moving, states, cancelling", async () => {
  const day = workday(3);
  const slots = (await ok("receptionist", "GET", `/api/v1/schedules/available-slots?providerId=1&date=${day}&duration=30`)).data;
  reads(slots, { providerId: (v) => assert.equal(String(v), "1"), date: (v) => assert.equal(v, day), duration: (v) => assert.equal(v, 30), availableSlots: list, totalSlots: number });
  slots.availableSlots.forEach(clock);
  assert.ok(slots.availableSlots.length >= 2, "there is time on " + day);
  const [first, second] = slots.availableSlots;

  const form = { patientId: "1", providerId: "1", appointmentDate: day, appointmentTime: first, duration: 30, reason: "Follow-up visit", notes: "" };
  const made = (await ok("receptionist", "POST", "/api/v1/appointments", form)).data;
  const id = made.appointment?.id ?? made.id;
  const seen = (await ok("receptionist", "GET", "/api/v1/appointments/" + id)).data.appointment;
  reads(seen, appointment);
  assert.deepEqual([seen.patientId, seen.providerId, seen.appointmentDate, seen.appointmentTime, seen.duration, seen.status], ["1", "1", day, first, 30, "scheduled"]);
  some(seen.patientFirstName);
  some(seen.providerLastName);
  const { error } = await refused("receptionist", "POST", "/api/v1/appointments", 409, { ...form, patientId: "2" });
  assert.equal(error.code, "APPOINTMENT_CONFLICT");
  const left = (await ok("receptionist", "GET", `/api/v1/schedules/available-slots?providerId=1&date=${day}`)).data.availableSlots;
  assert.ok(!left.includes(first));

  const moved = (await ok("receptionist", "PUT", "/api/v1/appointments/" + id, { ...form, appointmentTime: second.slice(0, 5), duration: "30" })).data;
  assert.equal((moved.appointment ?? moved).appointmentTime, second);
  const listed = await ok("receptionist", "GET", `/api/v1/appointments?page=1&limit=10&providerId=1&patientId=1&date=${day}&status=scheduled`);
  page(listed);
  assert.deepEqual(listed.data.appointments.map((a) => a.id), [id]);
  listed.data.appointments.forEach((a) => reads(a, appointment));
  for (const [path, body, status] of [["confirm", undefined, "confirmed"], ["status", { status: "checked-in" }, "checked-in"], ["complete", undefined, "completed"]]) {
    await ok("receptionist", "PATCH", `/api/v1/appointments/${id}/${path}`, body);
    assert.equal((await ok("receptionist", "GET", "/api/v1/appointments/" + id)).data.appointment.status, status);
  }
  await refused("receptionist", "PATCH", `/api/v1/appointments/${id}/status`, 409, { status: "scheduled" });
  await refused("receptionist", "PATCH", `/api/v1/appointments/${id}/status`, 400, { status: "lost" });

  const other = (await ok("receptionist", "POST", "/api/v1/appointments", form)).data;
  await ok("receptionist", "DELETE", "/api/v1/appointments/" + (other.appointment?.id ?? other.id));
  assert.equal((await ok("receptionist", "GET", "/api/v1/appointments/" + (other.appointment?.id ?? other.id))).data.appointment.status, "cancelled");
  list((await ok("doctor", "GET", "/api/v1/appointments/today")).data.appointments);
  assert.ok((await ok("doctor", "GET", "/api/v1/appointments/stats")).data);
  for (const path of ["/api/v1/schedules/provider/1", "/api/v1/resources", "/api/v1/waitlist", "/api/v1/reminders/pending"]) await ok("receptionist", "GET", path);
  await ok("receptionist", "POST", "/api/v1/waitlist", { patientId: "2", providerId: "1", preferredDate: day, reason: "sooner" });
  await ok("admin", "POST", "/api/v1/reminders/process");
});

test("facilities, departments, wards and beds", async () => {
  const listed = await ok("receptionist", "GET", "/api/v1/facilities?page=1&limit=10");
  page(listed);
  assert.ok(listed.data.facilities.length >= 4);
  listed.data.facilities.forEach((f) => reads(f, facility));
  const form = { facilityCode: "KSL-" + unique(), name: "Kassala Teaching Hospital", type: "hospital", address: "Hospital Street", city: "Kassala", state: "Kassala", country: "Sudan", phone: "+249912000001", email: "kassala@example.org", capacity: 40 };
  const made = (await ok("admin", "POST", "/api/v1/facilities", form)).data.facility;
  reads(made, facility);
  assert.equal((await ok("admin", "PUT", "/api/v1/facilities/" + made.id, { ...form, capacity: 45 })).data.facility.capacity, 45);
  reads((await ok("receptionist", "GET", "/api/v1/facilities/" + made.id)).data.facility, facility);
  const departments = (await ok("receptionist", "GET", "/api/v1/facilities/1/departments")).data.departments;
  assert.ok(departments.length > 0);
  departments.forEach((d) => reads(d, { id: digits, facilityId: digits, name: some, status: oneOf("active", "inactive"), createdAt: stamp }));
  for (const path of ["/api/v1/facilities/1/capacity", "/api/v1/departments", "/api/v1/wards", "/api/v1/beds", "/api/v1/beds/available?facilityId=1", "/api/v1/stats/facilities"]) await ok("nurse", "GET", path);
  await ok("admin", "DELETE", "/api/v1/facilities/" + made.id);
});

test("dashboards: every figure is there, or said to be unknown", async () => {
  const boards = {
    doctor: ["doctor", ["today_appointments", "upcoming_appointments", "completed_today", "total_patients", "active_patients", "pending_labs", "critical_labs", "active_prescriptions", "expiring_prescriptions"]],
    nurse: ["nurse", ["assigned_patients", "medications_due", "medications_administered", "pending_vitals", "critical_vitals"]],
    receptionist: ["receptionist", ["today_appointments", "checked_in", "waiting", "completed", "cancelled"]],
    admin: ["admin", ["total_users", "active_users", "total_facilities"]],
    billing: ["billing-clerk", ["outstanding_invoices", "total_outstanding", "payments_today", "revenue_today", "pending_claims", "approved_claims"]],
    lab: ["lab-technician", ["pending_tests", "in_progress", "completed_today", "critical_results", "average_turnaround"]],
    pharmacist: ["pharmacist", ["pending_prescriptions", "dispensed_today", "low_stock_items", "out_of_stock", "expiring_soon"]],
  };
  for (const [name, [role, fields]] of Object.entries(boards)) {
    const body = await ok(role, "GET", `/api/v1/dashboard/${name}-stats`);
    assert.equal(body.status, 200);
    some(body.timestamp);
    some(body.request_id);
    reads(body.data, Object.fromEntries(fields.map((f) => [f, figure])));
    for (const f of fields) if (body.data[f] === null) assert.ok(JSON.stringify(body).includes(f), f);
  }
  const admin = (await ok("admin", "GET", "/api/v1/dashboard/admin-stats")).data;
  reads(admin, { system_health: oneOf("healthy", "degraded"), services_status: (s) => reads(s, { up: number, down: number }) });
  assert.ok(admin.total_facilities >= 4 && admin.total_users >= 8);
  const stats = (await ok("doctor", "GET", "/api/v1/dashboard/stats?role=doctor")).data;
  reads(stats, { todayAppointments: figure, activePatients: figure, pendingTasks: figure, criticalAlerts: figure });
  await ok("admin", "GET", "/api/v1/dashboard/activities");
  await refused("patient", "GET", "/api/v1/dashboard/admin-stats", 403);
});

test("notifications: a user's own", async () => {
  const { data } = await ok("doctor", "GET", "/api/v1/notifications?read=false");
  list(data.notifications);
  number(data.unreadCount);
});
