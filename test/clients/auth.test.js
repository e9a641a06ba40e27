// Clients of others, unchanged, that sign people in or speak for themselves: SMART launches, OpenID Connect, OAuth 2.
import assert from "node:assert/strict";
import { before, test } from "node:test";

import { MedplumClient } from "@medplum/core";
import smart from "fhirclient";
import * as oauth from "oauth4webapi";
import * as oidc from "openid-client";

import { Browser } from "./browser.js";
import { amina, app, base, doctor, fill, initialAccessToken, keyPair, launch, login, password, register, root, send } from "./clinic.js";

before(fill);

// A status that an error of any of the clients has.
const failsWith = (...status) => (e) => status.includes(e.status ?? e.statusCode ?? e.response?.status ?? e.cause?.status);

const redirect = "http://127.0.0.1/cb"; // with whatever port there is (RFC 8252 section 7.3)
const patientScopes = "openid fhirUser launch/patient patient/Patient.r patient/Observation.rs offline_access";

// A fhirclient app: /launch begins, /cb ends. When a browser has gone through it, ready holds its client or what went wrong.
async function smartApp(t, options) {
  const stored = new Map();
  const storage = { get: async (k) => stored.get(k), set: async (k, v) => (stored.set(k, v), v), unset: async (k) => stored.delete(k) };
  const it = {};
  it.url = await app(t, {
    "/launch": (req, res) => smart(req, res, storage).authorize({ redirectUri: "cb", pkceMode: "required", ...options }),
    "/cb": async (req, res) => {
      it.ready = smart(req, res, storage).ready();
      await it.ready.then(() => {}, () => {});
      res.end("the app");
    },
  });
  return it;
}

test("fhirclient: standalone launch of a public app by a patient, who has one record", async (t) => {
  const { client_id: clientId } = await register({ redirect_uris: [redirect], token_endpoint_auth_method: "none", grant_types: ["authorization_code", "refresh_token"], scope: patientScopes });
  const it = await smartApp(t, { iss: base, clientId, scope: patientScopes });
  const browser = new Browser();
  await browser.get(it.url + "/launch");
  await browser.signIn(amina, "a wrong password");
  assert.ok(browser.status >= 400 && browser.status < 500, String(browser.status));
  await browser.signIn(amina, password);
  await browser.allow();
  assert.equal(browser.html, "the app");
  const client = await it.ready;

  assert.equal(client.patient.id, "amina");
  assert.equal(client.getUserType(), "Patient");
  assert.equal(client.getFhirUser(), "Patient/amina");
  assert.equal((await client.patient.read()).name[0].family, "Hassan");
  const seen = await client.patient.request("Observation");
  assert.deepEqual(seen.entry.map((e) => e.resource.id), ["weight-amina"]);
  const all = await client.request("Observation", { flat: true });
  assert.deepEqual(all.map((r) => r.id), ["weight-amina"], "a search without a patient finds theirs alone");
  await assert.rejects(client.request("Patient/bakri"), failsWith(403, 404));
  await assert.rejects(client.request("Observation/weight-bakri"), failsWith(403, 404));
  await assert.rejects(client.request("Encounter/visit"), failsWith(403, 404), "no scope is for it");
  await assert.rejects(client.create({ resourceType: "Observation", status: "final", code: { text: "x" }, subject: { reference: "Patient/amina" } }), failsWith(403));

  // It refreshes as fhirclient does unless told otherwise: without client_id, which SMART's table of parameters lacks.
  const old = client.getState("tokenResponse");
  await client.refresh();
  assert.notEqual(client.getState("tokenResponse.access_token"), old.access_token);
  assert.notEqual(client.getState("tokenResponse.refresh_token"), old.refresh_token);
  assert.equal(client.getState("tokenResponse.patient"), "amina");
  assert.equal((await client.patient.read()).id, "amina");
});

test("fhirclient: standalone launch by a doctor, who picks a patient and unchecks a scope", async (t) => {
  const key = keyPair();
  const { client_id: clientId } = await register({
    redirect_uris: [redirect], token_endpoint_auth_method: "private_key_jwt", jwks: key.jwks, grant_types: ["authorization_code"], scope: patientScopes, id_token_signed_response_alg: "ES256",
  });
  const it = await smartApp(t, { iss: base, clientId, scope: "openid fhirUser launch/patient patient/Patient.r patient/Observation.rs", clientPrivateJwk: key.jwk });
  const browser = new Browser();
  await browser.get(it.url + "/launch");
  await browser.signIn(doctor, password);
  await browser.pick("Bakri");
  await browser.allow(["patient/Patient.r"]);
  const client = await it.ready;

  assert.equal(client.patient.id, "bakri");
  assert.doesNotMatch(client.getState("tokenResponse.scope"), /Patient\.r/);
  const seen = await client.request("Observation", { flat: true });
  assert.deepEqual(seen.map((r) => r.id), ["weight-bakri"]);
  await assert.rejects(client.request("Observation/weight-amina"), failsWith(403, 404), "the doctor may, the app may not");
  await assert.rejects(client.request("Patient/bakri"), failsWith(403, 404), "the doctor unchecked it");
});

test("fhirclient: EHR launch of a confidential app, with an encounter and an intent", async (t) => {
  const scope = "openid fhirUser launch patient/Patient.rs patient/Observation.cruds patient/Encounter.r online_access";
  const made = await register({ redirect_uris: [redirect], grant_types: ["authorization_code", "refresh_token"], scope, launch_url: "https://app.example/launch" });
  assert.equal(made.token_endpoint_auth_method, "client_secret_basic");
  const told = await launch(doctor, { client_id: made.client_id, patient: "amina", encounter: "visit", intent: "reconcile-medications" });
  const opened = new URL(told.launch_url);
  assert.equal(opened.searchParams.get("iss"), base);
  assert.equal(opened.searchParams.get("launch"), told.launch);

  const it = await smartApp(t, { scope, clientId: made.client_id, clientSecret: made.client_secret });
  const browser = new Browser();
  await browser.get(it.url + "/launch" + opened.search);
  await browser.signIn(doctor, password);
  await browser.allow(); // no patient is asked for: the launch has one
  const client = await it.ready;

  const answer = client.getState("tokenResponse");
  assert.equal(answer.patient, "amina");
  assert.equal(answer.encounter, "visit");
  assert.equal(answer.intent, "reconcile-medications");
  assert.equal((await client.patient.read()).id, "amina");
  assert.equal((await client.encounter.read()).id, "visit");
  const pulse = await client.create({ resourceType: "Observation", status: "final", code: { text: "pulse" }, subject: { reference: "Patient/amina" }, encounter: { reference: "Encounter/visit" } });
  assert.equal((await client.update({ ...pulse, status: "amended" })).status, "amended");
  await client.delete("Observation/" + pulse.id);
  await assert.rejects(client.create({ resourceType: "Observation", status: "final", code: { text: "pulse" }, subject: { reference: "Patient/bakri" } }), failsWith(403, 404, 422));
  await client.refresh();
  assert.equal((await client.patient.read()).id, "amina");

  // A handle is good once, and for whom it was made.
  const again = new Browser();
  await again.get(it.url + "/launch" + opened.search);
  await assert.rejects(it.ready, /invalid_request/);
  const other = await launch(doctor, { client_id: made.client_id, patient: "amina" });
  const thief = new Browser();
  await thief.get(it.url + "/launch" + new URL(other.launch_url).search);
  await thief.signIn(amina, password);
  await assert.rejects(it.ready, /access_denied/);
});

test("fhirclient: who does not agree is taken at their word", async (t) => {
  const { client_id: clientId } = await register({ redirect_uris: [redirect], token_endpoint_auth_method: "none", scope: patientScopes });
  const it = await smartApp(t, { iss: base, clientId, scope: patientScopes });
  const browser = new Browser();
  await browser.get(it.url + "/launch");
  await browser.signIn(amina, password);
  await browser.deny();
  await assert.rejects(it.ready, /access_denied/);
});

// A sign-in by the code flow in a browser: where the app is led back to.
async function comeBack(url, email, steps = (b) => b.allow()) {
  const browser = new Browser();
  browser.stopBefore = (to) => to.origin === "https://app.example";
  await browser.get(url);
  await browser.signIn(email, password);
  await steps(browser);
  assert.equal(browser.url.origin, "https://app.example", browser.html);
  return browser.url;
}

const callback = "https://app.example/cb";

for (const alg of ["RS256", "ES256"]) {
  test(`openid-client: code flow with PKCE, an ID token by ${alg}, userinfo, refresh, introspection, revocation`, async () => {
    const made = await register({
      redirect_uris: [callback], token_endpoint_auth_method: "client_secret_basic", grant_types: ["authorization_code", "refresh_token"],
      scope: "openid profile email fhirUser offline_access user/Patient.rs", id_token_signed_response_alg: alg,
    });
    const config = await oidc.discovery(new URL(root), made.client_id, { id_token_signed_response_alg: alg }, oidc.ClientSecretBasic(made.client_secret), {
      execute: [oidc.allowInsecureRequests, oidc.enableNonRepudiationChecks],
    });
    assert.equal(config.serverMetadata().issuer, root);
    const checks = { pkceCodeVerifier: oidc.randomPKCECodeVerifier(), expectedNonce: oidc.randomNonce(), expectedState: oidc.randomState(), maxAge: 600, idTokenExpected: true };
    const url = oidc.buildAuthorizationUrl(config, {
      redirect_uri: callback, scope: "openid profile email fhirUser offline_access user/Patient.rs", aud: base, max_age: "600", nonce: checks.expectedNonce, state: checks.expectedState,
      code_challenge: await oidc.calculatePKCECodeChallenge(checks.pkceCodeVerifier), code_challenge_method: "S256",
    });
    const back = await comeBack(url, doctor);
    const tokens = await oidc.authorizationCodeGrant(config, back, checks);
    const claims = tokens.claims();
    assert.equal(claims.aud, made.client_id);
    assert.equal(typeof claims.auth_time, "number");
    const info = await oidc.fetchUserInfo(config, tokens.access_token, claims.sub);
    assert.equal(info.email, doctor);
    assert.equal(info.email_verified, true);
    assert.equal(info.family_name, "Osman");

    const read = await oidc.fetchProtectedResource(config, tokens.access_token, new URL(base + "/Patient/amina"), "GET");
    assert.equal(read.status, 200);
    const refused = await oidc.fetchProtectedResource(config, tokens.access_token, new URL(base + "/Observation/weight-amina"), "GET").catch((e) => e);
    assert.equal(refused.status, 403);

    const state = await oidc.tokenIntrospection(config, tokens.access_token);
    assert.equal(state.active, true);
    assert.equal(state.client_id, made.client_id);
    assert.equal(state.sub, claims.sub);

    const next = await oidc.refreshTokenGrant(config, tokens.refresh_token);
    assert.notEqual(next.refresh_token, tokens.refresh_token);
    assert.equal(next.claims().sub, claims.sub);
    const less = await oidc.refreshTokenGrant(config, next.refresh_token, { scope: "openid" });
    assert.equal(less.scope, "openid");

    await oidc.tokenRevocation(config, less.refresh_token);
    for (const token of [tokens.access_token, next.access_token, less.refresh_token]) assert.equal((await oidc.tokenIntrospection(config, token)).active, false);
    await assert.rejects(oidc.refreshTokenGrant(config, less.refresh_token), (e) => e.error === "invalid_grant");
    const late = await oidc.fetchProtectedResource(config, next.access_token, new URL(base + "/Patient/amina"), "GET").catch((e) => e);
    assert.equal(late.status, 401);
    await assert.rejects(oidc.authorizationCodeGrant(config, back, checks), (e) => e.error === "invalid_grant", "a code is good once");
  });
}

test("openid-client: a refresh token that comes twice ends the session", async () => {
  const made = await register({ redirect_uris: [callback], token_endpoint_auth_method: "client_secret_post", grant_types: ["authorization_code", "refresh_token"], scope: "openid offline_access" });
  const config = await oidc.discovery(new URL(root), made.client_id, {}, oidc.ClientSecretPost(made.client_secret), { execute: [oidc.allowInsecureRequests] });
  const verifier = oidc.randomPKCECodeVerifier();
  const url = oidc.buildAuthorizationUrl(config, {
    redirect_uri: callback, scope: "openid offline_access", state: "s", code_challenge: await oidc.calculatePKCECodeChallenge(verifier), code_challenge_method: "S256",
  });
  const tokens = await oidc.authorizationCodeGrant(config, await comeBack(url, amina), { pkceCodeVerifier: verifier, expectedState: "s" });
  const next = await oidc.refreshTokenGrant(config, tokens.refresh_token);
  await assert.rejects(oidc.refreshTokenGrant(config, tokens.refresh_token), (e) => e.error === "invalid_grant");
  await assert.rejects(oidc.refreshTokenGrant(config, next.refresh_token), (e) => e.error === "invalid_grant");
});

test("openid-client: backend service with private_key_jwt", async () => {
  const key = keyPair("ES256", "P-256");
  const made = await register({ token_endpoint_auth_method: "private_key_jwt", jwks: key.jwks, grant_types: ["client_credentials"], scope: "system/Patient.rs system/Observation.rs" });
  const config = await oidc.discovery(new URL(root), made.client_id, {}, oidc.PrivateKeyJwt({ key: await key.crypto(), kid: key.kid }), { execute: [oidc.allowInsecureRequests], algorithm: "oauth2" });
  const tokens = await oidc.clientCredentialsGrant(config, { scope: "system/Patient.rs" });
  assert.equal(tokens.scope, "system/Patient.rs");
  assert.equal(tokens.refresh_token, undefined);
  const found = await oidc.fetchProtectedResource(config, tokens.access_token, new URL(base + "/Patient?family=Hassan"), "GET");
  assert.equal((await found.json()).entry[0].resource.id, "amina");
  const refused = await oidc.fetchProtectedResource(config, tokens.access_token, new URL(base + "/Observation"), "GET").catch((e) => e);
  assert.equal(refused.status, 403);
  const state = await oidc.tokenIntrospection(config, tokens.access_token);
  assert.equal(state.active, true);
  await oidc.tokenRevocation(config, tokens.access_token);
  assert.equal((await oidc.tokenIntrospection(config, tokens.access_token)).active, false);
  await assert.rejects(oidc.clientCredentialsGrant(config, { scope: "system/Encounter.rs" }), (e) => e.error === "invalid_scope");

  const stranger = keyPair("ES256", "P-256");
  const forged = await oidc.discovery(new URL(root), made.client_id, {}, oidc.PrivateKeyJwt({ key: await stranger.crypto(), kid: key.kid }), { execute: [oidc.allowInsecureRequests] });
  await assert.rejects(oidc.clientCredentialsGrant(forged), failsWith(401));
});

// oauth4webapi is told each time that the server speaks http.
const plain = { [oauth.allowInsecureRequests]: true };

async function server(algorithm = "oidc") {
  return oauth.processDiscoveryResponse(new URL(root), await oauth.discoveryRequest(new URL(root), { ...plain, algorithm }));
}

test("oauth4webapi: code flow of a public client, the access token as RFC 9068 has it, refresh, revocation", async () => {
  const as = await server("oauth2");
  const made = await register({ redirect_uris: [callback], token_endpoint_auth_method: "none", grant_types: ["authorization_code", "refresh_token"], scope: patientScopes });
  const client = { client_id: made.client_id };
  const verifier = oauth.generateRandomCodeVerifier();
  const state = oauth.generateRandomState();
  const nonce = oauth.generateRandomNonce();
  const url = new URL(as.authorization_endpoint);
  const asked = {
    response_type: "code", client_id: client.client_id, redirect_uri: callback, scope: patientScopes, aud: base, state, nonce,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier), code_challenge_method: "S256",
  };
  for (const [name, value] of Object.entries(asked)) url.searchParams.set(name, value);
  const back = oauth.validateAuthResponse(as, client, await comeBack(url, amina), state);
  const response = await oauth.authorizationCodeGrantRequest(as, client, oauth.None(), back, callback, verifier, plain);
  const tokens = await oauth.processAuthorizationCodeResponse(as, client, response, { expectedNonce: nonce, requireIdToken: true });
  await oauth.validateApplicationLevelSignature(as, response, plain);
  assert.equal(tokens.patient, "amina");

  const request = new Request(base + "/Patient/amina", { headers: { authorization: "Bearer " + tokens.access_token } });
  const claims = await oauth.validateJwtAccessToken(as, request, base, plain);
  assert.equal(claims.client_id, client.client_id);
  assert.equal(claims.sub, oauth.getValidatedIdTokenClaims(tokens).sub);
  const info = await oauth.processUserInfoResponse(as, client, claims.sub, await oauth.userInfoRequest(as, client, tokens.access_token, plain));
  assert.match(info.fhirUser, /Patient\/amina$/);

  const next = await oauth.processRefreshTokenResponse(as, client, await oauth.refreshTokenGrantRequest(as, client, oauth.None(), tokens.refresh_token, plain));
  assert.equal((await oauth.protectedResourceRequest(next.access_token, "GET", new URL(base + "/Patient/amina"), undefined, undefined, plain)).status, 200);
  await oauth.processRevocationResponse(await oauth.revocationRequest(as, client, oauth.None(), next.refresh_token, plain));
  const outcome = await send("GET", "/fhir/R4/Patient/amina", undefined, next.access_token);
  assert.equal(outcome.body.issue[0].code, "login", "of the issue types of FHIR");
  const late = await oauth.protectedResourceRequest(next.access_token, "GET", new URL(base + "/Patient/amina"), undefined, undefined, plain).catch((e) => e);
  assert.equal(late.status, 401);
});

test("oauth4webapi: private_key_jwt, and an assertion that comes twice", async () => {
  const as = await server();
  const key = keyPair();
  const made = await register({ token_endpoint_auth_method: "private_key_jwt", jwks: key.jwks, grant_types: ["client_credentials"], scope: "system/Observation.rs" });
  const client = { client_id: made.client_id };
  const auth = oauth.PrivateKeyJwt({ key: await key.crypto(), kid: key.kid });
  let sent;
  const keep = (url, options) => ((sent = options), fetch(url, options));
  const response = await oauth.clientCredentialsGrantRequest(as, client, auth, { scope: "system/Observation.rs" }, { ...plain, [oauth.customFetch]: keep });
  const tokens = await oauth.processClientCredentialsResponse(as, client, response);
  const seen = await send("GET", "/fhir/R4/Observation/weight-bakri", undefined, tokens.access_token);
  assert.equal(seen.status, 200);
  assert.equal((await send("PUT", "/fhir/R4/Observation/weight-bakri", { ...seen.body, status: "amended" }, tokens.access_token)).status, 403);
  const replayed = await fetch(as.token_endpoint, { method: "POST", headers: { "content-type": "application/x-www-form-urlencoded" }, body: new URLSearchParams(sent.body).toString() });
  assert.equal(replayed.status, 401);
  assert.equal((await replayed.json()).error, "invalid_client");
});

test("oauth4webapi: a device, whose person agrees in a browser, and one whose person does not", async () => {
  const as = await server();
  const made = await register({
    token_endpoint_auth_method: "none", grant_types: ["urn:ietf:params:oauth:grant-type:device_code", "refresh_token"], scope: "openid launch/patient patient/Observation.rs offline_access",
  });
  const client = { client_id: made.client_id };
  const begin = async () =>
    oauth.processDeviceAuthorizationResponse(as, client, await oauth.deviceAuthorizationRequest(as, client, oauth.None(), { scope: "openid launch/patient patient/Observation.rs offline_access" }, plain));
  const poll = async (code) => oauth.processDeviceCodeResponse(as, client, await oauth.deviceCodeGrantRequest(as, client, oauth.None(), code, plain));

  const device = await begin();
  await assert.rejects(poll(device.device_code), (e) => e.error === "authorization_pending");
  await assert.rejects(poll(device.device_code), (e) => e.error === "slow_down");
  const browser = new Browser();
  await browser.get(device.verification_uri_complete);
  await browser.submit("/oauth2/device"); // the code of the URL stands in the form
  await browser.signIn(doctor, password);
  await browser.pick("Amina");
  await browser.allow();
  const tokens = await poll(device.device_code);
  assert.equal(tokens.patient, "amina");
  assert.ok(tokens.refresh_token);
  assert.ok(oauth.getValidatedIdTokenClaims(tokens).sub);
  assert.equal((await send("GET", "/fhir/R4/Observation/weight-amina", undefined, tokens.access_token)).status, 200);
  assert.ok([403, 404].includes((await send("GET", "/fhir/R4/Observation/weight-bakri", undefined, tokens.access_token)).status));
  await assert.rejects(poll(device.device_code), (e) => e.error === "invalid_grant", "a device code is good once");

  const unwanted = await begin();
  const wary = new Browser();
  await wary.get(unwanted.verification_uri);
  await wary.submit("/oauth2/device", { set: { user_code: unwanted.user_code.toLowerCase() } });
  await wary.signIn(amina, password);
  await wary.deny();
  await assert.rejects(poll(unwanted.device_code), (e) => e.error === "access_denied");
});

test("oauth4webapi: dynamic registration with an initial access token", async () => {
  const as = await server();
  const metadata = { client_name: "My records", redirect_uris: [callback], token_endpoint_auth_method: "none", grant_types: ["authorization_code"], scope: "openid launch/patient patient/*.rs" };
  const made = await oauth.processDynamicClientRegistrationResponse(
    await oauth.dynamicClientRegistrationRequest(as, metadata, { ...plain, initialAccessToken: await initialAccessToken() }),
  );
  assert.ok(made.client_id);
  assert.ok(made.registration_access_token);
  const read = await fetch(made.registration_client_uri, { headers: { authorization: "Bearer " + made.registration_access_token } });
  assert.equal((await read.json()).client_name, "My records");
  await assert.rejects(async () => oauth.processDynamicClientRegistrationResponse(await oauth.dynamicClientRegistrationRequest(as, metadata, plain)));
});

// What Medplum's client does with records, whatever its token is.
async function medplumWrites(medplum) {
  const made = await medplum.createResource({ resourceType: "Patient", name: [{ family: "Idris", given: ["Sara"] }], gender: "female" });
  assert.equal(made.meta.versionId, "1");
  assert.deepEqual(await medplum.readResource("Patient", made.id), made);
  const changed = await medplum.updateResource({ ...made, birthDate: "1999-09-09" });
  assert.equal(changed.meta.versionId, "2");
  const patched = await medplum.patchResource("Patient", made.id, [{ op: "replace", path: "/birthDate", value: "1999-09-10" }]);
  assert.equal(patched.birthDate, "1999-09-10");
  const history = await medplum.readHistory("Patient", made.id);
  assert.deepEqual(history.entry.map((e) => e.resource.meta.versionId), ["3", "2", "1"]);
  const bundle = await medplum.search("Patient", { _id: made.id, _total: "accurate" });
  assert.equal(bundle.total, 1);
  assert.equal((await medplum.searchOne("Patient", "family=Idris&_id=" + made.id)).id, made.id);
  const batch = await medplum.executeBatch({ resourceType: "Bundle", type: "batch", entry: [{ request: { method: "GET", url: "Patient/" + made.id } }] });
  assert.equal(batch.entry[0].resource.id, made.id);
  await medplum.deleteResource("Patient", made.id);
  await assert.rejects(medplum.readResource("Patient", made.id, { cache: "reload" }), (e) => ["gone", "deleted", "not-found"].includes(e.outcome.issue[0].code) || e.outcome.id === "gone");
}

for (const authCredentialsMethod of ["header", "body"]) {
  test(`Medplum: client credentials in the ${authCredentialsMethod}, then records`, async () => {
    const made = await register({ token_endpoint_auth_method: authCredentialsMethod === "header" ? "client_secret_basic" : "client_secret_post", grant_types: ["client_credentials"], scope: "system/Patient.cruds" });
    const medplum = new MedplumClient({ baseUrl: root + "/", fhirUrlPath: "fhir/R4", tokenUrl: "oauth2/token", authCredentialsMethod, fetch, cacheTime: 0 });
    await medplum.startClientLogin(made.client_id, made.client_secret);
    await medplumWrites(medplum);
    await assert.rejects(medplum.createResource({ resourceType: "Observation", status: "final", code: { text: "x" } }), (e) => e.outcome.issue[0].code === "forbidden");
  });
}

test("Medplum: with a signed-in user's token, and none", async () => {
  await medplumWrites(new MedplumClient({ baseUrl: root + "/", fhirUrlPath: "fhir/R4", accessToken: await login("admin@clinic.example"), fetch }));
  const nobody = new MedplumClient({ baseUrl: root + "/", fhirUrlPath: "fhir/R4", fetch });
  await assert.rejects(nobody.readResource("Patient", "amina"), (e) => ["login", "unknown", "security"].includes(e.outcome.issue[0].code) || e.outcome.id === "unauthorized");
});
