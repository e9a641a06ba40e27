package identity_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/module/identity"
	"github.com/nilecare/nilecare/internal/token"
)

// TestUsers: what pages do with users.
func TestUsers(t *testing.T) {
	each(t, nil, func(t *testing.T, w *world) {
		w.user(1, "admin@example.org", "admin")
		tk := w.token("admin@example.org")
		a := w.do("POST", "/api/v1/users", tk, m{"email": "new@example.org", "username": "new_one", "password": password, "first_name": "Amna", "last_name": "Idris",
			"role": "lab_tech", "phone": 912345678, "organizationId": 12, "facilityId": "7", "national_id": "123456789", "department": "Laboratory"})
		w.want("create", a, 201)
		for path, want := range map[string]any{"data.user.role": "lab_technician", "user.firstName": "Amna", "data.user.organizationId": "12", "data.user.facilityId": "7",
			"data.user.phone": "912345678", "data.user.national_id": "123456789"} {
			if a.at(path) != want {
				t.Errorf("%s is %v, want %v", path, a.at(path), want)
			}
		}
		uid := a.text("user.id")
		w.want("the address again", w.do("POST", "/api/v1/users", tk, m{"email": "NEW@example.org", "password": password, "role": "nurse"}), 409)
		w.want("the user name again", w.do("POST", "/api/v1/users", tk, m{"email": "b@example.org", "username": "New_One", "password": password, "role": "nurse"}), 409)
		for name, body := range map[string]m{"no role": {"email": "c@example.org", "password": password}, "an unknown role": {"email": "c@example.org", "role": "wizard"},
			"no address": {"role": "nurse"}, "a bad address": {"email": "x", "role": "nurse"}, "a known password": {"email": "c@example.org", "role": "nurse", "password": "iloveyou"},
			"a bad reference": {"email": "c@example.org", "role": "nurse", "fhirUser": "Encounter/1"}} {
			w.want(name, w.do("POST", "/api/v1/users", tk, body), 400)
		}
		w.want("put", w.do("PUT", "/api/v1/users/"+uid, tk, m{"firstName": "Amal", "role": "nurse", "status": "active"}), 200)
		b := w.do("GET", "/api/v1/users/"+uid, tk, nil)
		w.want("read", b, 200)
		if b.text("data.user.firstName") != "Amal" || b.text("data.user.lastName") != "Idris" || b.text("data.user.role") != "nurse" {
			t.Errorf("%s", b.raw)
		}
		for query, want := range map[string]int{"": 2, "?role=nurse": 1, "?search=amal": 1, "?search=NEW@": 1, "?search=nobody": 0, "?status=suspended": 0, "?page=2&limit=1": 1,
			"?department=labor": 1, "?role=a%25": 0} {
			l := w.do("GET", "/api/v1/users"+query, tk, nil)
			w.want("list"+query, l, 200)
			if users, _ := l.at("data.users").([]any); len(users) != want || l.at("pagination.total") == nil {
				t.Errorf("list%s: %d users: %s", query, len(users), l.raw)
			}
		}
		all := w.do("GET", "/api/v1/data/users/all", tk, nil)
		if users, ok := all.at("data").([]any); !ok || len(users) != 2 || all.at("total") != 2.0 {
			t.Errorf("%s", all.raw)
		}
		found := w.do("POST", "/api/v1/search/users", tk, m{"searchTerm": "idris", "roles": []string{"nurse", "doctor"}})
		if users, _ := found.at("data.users").([]any); len(users) != 1 || found.at("data.pagination.total") != 1.0 {
			t.Errorf("%s", found.raw)
		}
		w.want("suspend", w.do("PATCH", "/api/v1/users/"+uid+"/status", tk, m{"status": "suspended"}), 200)
		w.want("no status", w.do("PATCH", "/api/v1/users/"+uid+"/status", tk, m{"status": "happy"}), 400)
		w.want("bulk status", w.do("PATCH", "/api/v1/bulk/users/status", tk, m{"ids": []string{uid}, "status": "active"}), 200)
		w.want("reset", w.do("POST", "/api/v1/users/"+uid+"/reset-password", tk, m{"newPassword": "another test value"}), 200)
		w.want("login", w.do("POST", "/api/v1/auth/login", "", m{"email": "new@example.org", "password": "another test value"}), 200)
		devices := w.do("GET", "/api/v1/users/"+uid+"/devices", tk, nil)
		if l, _ := devices.at("devices").([]any); len(l) != 1 {
			t.Errorf("%s", devices.raw)
		} else {
			device, _ := l[0].(m)
			w.want("sign out a device", w.do("DELETE", fmt.Sprintf("/api/v1/users/%s/devices/%v", uid, device["id"]), tk, nil), 200)
		}
		st := w.do("GET", "/api/v1/stats", tk, nil)
		if st.at("data.totalUsers") != 2.0 || st.at("data.usersByRole.nurse") != 1.0 {
			t.Errorf("%s", st.raw)
		}
		g := w.do("GET", "/api/v1/sessions/global/stats", tk, nil)
		if g.at("stats.activeSessions") != 1.0 {
			t.Errorf("%s", g.raw)
		}
		w.want("delete", w.do("DELETE", "/api/v1/users/"+uid, tk, nil), 200)
		w.want("read what was deleted", w.do("GET", "/api/v1/users/"+uid, tk, nil), 404)
		w.want("login of a deleted user", w.do("POST", "/api/v1/auth/login", "", m{"email": "new@example.org", "password": "another test value"}), 401)
		w.want("the address is free", w.do("POST", "/api/v1/users", tk, m{"email": "new@example.org", "password": password, "role": "nurse"}), 201)
	})
}

// TestEscalation: nobody gets, or gives, more than he has.
func TestEscalation(t *testing.T) {
	each(t, nil, func(t *testing.T, w *world) {
		boss := w.user(1, "admin@example.org", "admin")
		nurse := w.user(1, "nurse@example.org", "nurse")
		w.user(1, "sys@example.org", "system_admin")
		adm, sys, nur := w.token("admin@example.org"), w.token("sys@example.org"), w.token("nurse@example.org")
		for _, x := range []struct {
			name, method, path, token string
			body                      m
			status                    int
		}{
			{"a nurse lists users", "GET", "/api/v1/users", nur, nil, 403},
			{"a nurse reads another", "GET", "/api/v1/users/" + id(boss), nur, nil, 403},
			{"a nurse reads herself", "GET", "/api/v1/users/" + id(nurse), nur, nil, 200},
			{"a nurse changes her name", "PATCH", "/api/v1/users/" + id(nurse), nur, m{"firstName": "Nadia", "role": "admin", "status": "active"}, 200},
			{"a nurse moves herself", "PATCH", "/api/v1/users/" + id(nurse), nur, m{"facilityId": "9"}, 403},
			{"a nurse links a record", "PATCH", "/api/v1/users/" + id(nurse), nur, m{"patient": "Patient/1"}, 403},
			{"a nurse changes her address", "PATCH", "/api/v1/users/" + id(nurse), nur, m{"email": "other@example.org"}, 403},
			{"a nurse assigns a role", "POST", "/api/v1/roles/assign", nur, m{"userId": id(nurse), "roleName": "admin"}, 403},
			{"a nurse makes a key", "POST", "/api/v1/api-keys", nur, m{"name": "k", "scopes": []string{"patients:read"}}, 403},
			{"a nurse ends another's sessions", "DELETE", "/api/v1/sessions/1", nur, nil, 404},
			{"the operator makes an administrator", "POST", "/api/v1/users", sys, m{"email": "x@example.org", "password": password, "role": "admin"}, 403},
			{"the operator makes a doctor", "POST", "/api/v1/users", sys, m{"email": "x@example.org", "password": password, "role": "doctor"}, 403},
			{"the operator gives permissions", "POST", "/api/v1/users", sys, m{"email": "x@example.org", "password": password, "role": "system_admin", "permissions": []string{"*"}}, 403},
			{"the operator makes an equal", "POST", "/api/v1/users", sys, m{"email": "x@example.org", "password": password, "role": "system_admin"}, 201},
			{"the operator promotes a nurse", "POST", "/api/v1/roles/assign", sys, m{"userId": id(nurse), "roleName": "hospital_admin"}, 403},
			{"the operator demotes the administrator", "PATCH", "/api/v1/users/" + id(boss), sys, m{"role": "system_admin"}, 403},
			{"the operator takes the administrator's place", "POST", "/api/v1/users/" + id(boss) + "/reset-password", sys, m{"newPassword": "another test value"}, 403},
			{"the operator takes the administrator's address", "PATCH", "/api/v1/users/" + id(boss), sys, m{"email": "mine@example.org"}, 403},
			{"the operator switches the administrator off", "PATCH", "/api/v1/users/" + id(boss) + "/status", sys, m{"status": "suspended"}, 403},
			{"the operator deletes the administrator", "DELETE", "/api/v1/users/" + id(boss), sys, nil, 403},
			{"the operator suspends a nurse", "PATCH", "/api/v1/users/" + id(nurse) + "/status", sys, m{"status": "suspended"}, 200},
			{"the operator makes a strong role", "POST", "/api/v1/roles", sys, m{"name": "strong", "permissions": []string{"patients:read"}}, 403},
			{"a role by another name of doctor's", "POST", "/api/v1/roles", sys, m{"name": "physician", "permissions": []string{}}, 409},
			{"the operator makes a key for records", "POST", "/api/v1/api-keys", sys, m{"name": "k", "scopes": []string{"system/*.cruds"}}, 403},
			{"the operator makes a key for patients", "POST", "/api/v1/api-keys", sys, m{"name": "k", "scopes": []string{"patients:read"}}, 403},
			{"the administrator switches himself off", "PATCH", "/api/v1/users/" + id(boss) + "/status", adm, m{"status": "inactive"}, 400},
			{"the administrator deletes himself", "DELETE", "/api/v1/users/" + id(boss), adm, nil, 400},
			{"the last administrator gives up", "POST", "/api/v1/roles/assign", adm, m{"userId": id(boss), "roleName": "doctor"}, 409},
			{"a user gets a program's role", "POST", "/api/v1/roles/assign", adm, m{"userId": id(nurse), "roleName": "service"}, 400},
		} {
			w.want(x.name, w.do(x.method, x.path, x.token, x.body), x.status)
		}
		if u, err := w.s.User(t.Context(), 1, nurse.ID); err != nil || u.Role != "nurse" || u.FirstName != "Nadia" {
			t.Errorf("the nurse: %+v %v", u, err)
		}
	})
}

// TestRoles: a clinic's own roles.
func TestRoles(t *testing.T) {
	each(t, nil, func(t *testing.T, w *world) {
		w.user(1, "admin@example.org", "admin")
		adm := w.token("admin@example.org")
		a := w.do("POST", "/api/v1/roles", adm, m{"name": "porter", "description": "Brings things", "permissions": []string{"facilities:read", "beds:read"}})
		w.want("create", a, 201)
		w.want("again", w.do("POST", "/api/v1/roles", adm, m{"name": "porter", "permissions": []string{}}), 409)
		porter := w.user(1, "porter@example.org", "porter")
		tk := w.token("porter@example.org")
		mine := func() string { return string(w.do("GET", "/api/v1/roles/permissions/me", tk, nil).raw) }
		if got := mine(); !strings.Contains(got, `["beds:read","facilities:read"]`) {
			t.Error(got)
		}
		w.want("change", w.do("PATCH", "/api/v1/roles/porter", adm, m{"permissions": []string{"beds:read"}}), 200)
		if got := mine(); !strings.Contains(got, `"permissions":["beds:read"]`) {
			t.Error("a change is heard at once: " + got)
		}
		w.want("delete what is in use", w.do("DELETE", "/api/v1/roles/porter", adm, nil), 409)
		w.want("assign", w.do("POST", "/api/v1/roles/assign", adm, m{"userId": id(porter), "roleName": "nurse"}), 200)
		w.want("delete", w.do("DELETE", "/api/v1/roles/porter", adm, nil), 200)
		w.want("read it", w.do("GET", "/api/v1/roles/porter", adm, nil), 404)
		w.want("make it again", w.do("POST", "/api/v1/roles", adm, m{"name": "porter", "permissions": []string{}}), 201)
		w.want("delete a system role", w.do("DELETE", "/api/v1/roles/nurse", adm, nil), 403)
		w.want("change a system role", w.do("PATCH", "/api/v1/roles/nurse", adm, m{"permissions": []string{"*"}}), 403)
		l := w.do("GET", "/api/v1/roles", adm, nil)
		if all, _ := l.at("data.roles").([]any); len(all) != len(access.DefaultRoles())+1 {
			t.Errorf("%d roles", len(all))
		}
	})
}

// TestKeys: API keys, their rotation with overlap, addresses and ends.
func TestKeys(t *testing.T) {
	each(t, nil, func(t *testing.T, w *world) {
		w.user(1, "admin@example.org", "admin")
		nurse := w.user(1, "nurse@example.org", "nurse")
		adm := w.token("admin@example.org")
		a := w.do("POST", "/api/v1/api-keys", adm, m{"name": "laboratory", "scopes": []string{"users:read", "tokens:introspect"}})
		w.want("create", a, 201)
		key, kid := a.text("key"), a.text("apiKey.id")
		if !strings.HasPrefix(key, "nck_1_") || !strings.HasPrefix(key, a.text("apiKey.prefix")) {
			t.Errorf("%s", a.raw)
		}
		if l := w.do("GET", "/api/v1/api-keys", adm, nil); strings.Contains(string(l.raw), key) {
			t.Error("the list tells the key")
		}
		tk := w.token("nurse@example.org")
		v := w.do("POST", "/api/v1/auth/validate", key, m{"token": tk})
		w.want("validate", v, 200)
		if v.at("valid") != true || v.text("user.id") != id(nurse) {
			t.Errorf("%s", v.raw)
		}
		if v := w.do("POST", "/api/v1/auth/validate", key, m{"token": tk + "x"}); v.status != 200 || v.at("valid") != false || v.at("user") != nil {
			t.Errorf("%s", v.raw)
		}
		w.want("validate without a key", w.do("POST", "/api/v1/auth/validate", "", m{"token": tk}), 401)
		w.want("validate as a nurse", w.do("POST", "/api/v1/auth/validate", tk, m{"token": tk}), 403)
		w.want("by e-mail", w.do("GET", "/api/v1/integration/users/by-email/nurse@example.org", key, nil), 200)
		w.want("by id", w.do("GET", "/api/v1/integration/users/"+id(nurse), key, nil), 200)
		w.want("permissions", w.do("GET", "/api/v1/integration/users/"+id(nurse)+"/permissions", key, nil), 200)
		batch := w.do("POST", "/api/v1/integration/users/batch", key, m{"userIds": []string{id(nurse), "999"}})
		if l, _ := batch.at("users").([]any); len(l) != 1 {
			t.Errorf("%s", batch.raw)
		}
		w.want("what is not among its scopes", w.do("DELETE", "/api/v1/users/"+id(nurse), key, nil), 403)

		b := w.do("POST", "/api/v1/api-keys/"+kid+"/rotate", adm, m{"overlapSeconds": 60})
		w.want("rotate", b, 200)
		w.want("the new one", w.do("GET", "/api/v1/users", b.text("key"), nil), 200)
		w.want("the old one yet", w.do("GET", "/api/v1/users", key, nil), 200)
		w.clock.add(61 * time.Second)
		w.want("the old one after the overlap", w.do("GET", "/api/v1/users", key, nil), 401)
		w.want("the new one after it", w.do("GET", "/api/v1/users", b.text("key"), nil), 200)
		w.want("revoke", w.do("DELETE", "/api/v1/api-keys/"+kid, adm, nil), 200)
		w.want("after that", w.do("GET", "/api/v1/users", b.text("key"), nil), 401)

		far, _, err := w.s.CreateKey(system(1), 1, identity.NewKey{Name: "far", Scopes: []string{"users:read"}, Addresses: []string{"192.0.2.0/24"}, Expires: w.clock.now().Add(time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		w.want("from elsewhere", w.do("GET", "/api/v1/users", far, nil), 403)
		if _, err := w.s.Authenticate(t.Context(), identity.Credentials{APIKey: far, Address: "192.0.2.9"}); err != nil {
			t.Error(err)
		}
		w.clock.add(2 * time.Hour)
		if _, err := w.s.Authenticate(t.Context(), identity.Credentials{APIKey: far, Address: "192.0.2.9"}); !fault.Is(err, fault.Unauthenticated) {
			t.Errorf("after its time: %v", err)
		}
	})
}

// TestServices: a service account's keys do no more than it may, and end with it.
func TestServices(t *testing.T) {
	each(t, nil, func(t *testing.T, w *world) {
		print := strings.Repeat("ab", 32)
		acc, err := w.s.CreateService(system(1), 1, identity.ServiceAccount{Name: "gateway", Scopes: []string{"users:read", "system/Patient.rs"}, Certificate: print})
		if err != nil {
			t.Fatal(err)
		}
		key, _, err := w.s.CreateKey(system(1), 1, identity.NewKey{Name: "k", Service: "gateway", Scopes: []string{"users:read", "users:delete", "system/*.cruds"}})
		if err != nil {
			t.Fatal(err)
		}
		c, err := w.s.Authenticate(t.Context(), identity.Credentials{APIKey: key})
		if err != nil {
			t.Fatal(err)
		}
		if !c.Permits("users:read") || c.Permits("users:delete") || c.Extent(access.Read, "Patient").IsNone() || !c.Extent(access.Update, "Patient").IsNone() ||
			!c.Extent(access.Read, "Observation").IsNone() {
			t.Errorf("%+v", c)
		}
		if c, err := w.s.Authenticate(t.Context(), identity.Credentials{CertFingerprint: print}); err != nil || !c.Permits("users:read") || c.Who != fmt.Sprint("Service/", acc.ID) {
			t.Errorf("by its certificate: %+v %v", c, err)
		}
		if err := w.s.DeleteService(system(1), 1, acc.ID); err != nil {
			t.Fatal(err)
		}
		for _, cr := range []identity.Credentials{{APIKey: key}, {CertFingerprint: print}} {
			if _, err := w.s.Authenticate(t.Context(), cr); !fault.Is(err, fault.Unauthenticated) {
				t.Errorf("after its end: %v", err)
			}
		}
	})
}

// TestTenants: nothing crosses from one tenant to another.
func TestTenants(t *testing.T) {
	each(t, nil, func(t *testing.T, w *world) {
		if _, _, err := w.s.CreateTenant(system(1), "Second"); err != nil {
			t.Fatal(err)
		}
		w.user(1, "admin@example.org", "admin")
		other := w.user(2, "admin@example.org", "admin")
		one := w.token("admin@example.org")
		in, err := w.s.SignIn(t.Context(), identity.SignIn{Tenant: 2, Email: "admin@example.org", Password: password})
		if err != nil {
			t.Fatal(err)
		}
		w.want("a user of another tenant", w.do("GET", "/api/v1/users/"+id(other), one, nil), 404)
		w.want("deleted", w.do("DELETE", "/api/v1/users/"+id(other), one, nil), 404)
		w.want("its session", w.do("DELETE", fmt.Sprint("/api/v1/sessions/", in.Session), one, nil), 404)
		me := w.do("GET", "/api/v1/auth/me", in.AccessToken, nil)
		if me.text("user.id") != id(other) {
			t.Errorf("%s", me.raw)
		}
		for name, c := range map[string]identity.Credentials{"token": {Tenant: 1, Bearer: in.AccessToken}, "cookie": {Tenant: 1, Cookie: in.Cookie},
			"a cookie's number": {Cookie: "1" + strings.TrimPrefix(in.Cookie, "2")}} {
			if _, err := w.s.Authenticate(t.Context(), c); !fault.Is(err, fault.Unauthenticated) {
				t.Errorf("%s of another tenant: %v", name, err)
			}
		}
		key, _, err := w.s.CreateKey(system(2), 2, identity.NewKey{Name: "k", Scopes: []string{"users:read"}})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []identity.Credentials{{Tenant: 1, APIKey: key}, {APIKey: strings.Replace(key, "nck_2_", "nck_1_", 1)}} {
			if _, err := w.s.Authenticate(t.Context(), c); !fault.Is(err, fault.Unauthenticated) {
				t.Errorf("a key of another tenant: %v", err)
			}
		}
	})
}

// TestTokens: what is not an access token of the ring, for this audience, of a session or an app that stands, opens nothing.
func TestTokens(t *testing.T) {
	each(t, nil, func(t *testing.T, w *world) {
		u := w.user(1, "nurse@example.org", "nurse", func(n *identity.NewUser) { n.FHIRUser = "Practitioner/5" })
		good := w.token("nurse@example.org")
		parts := strings.Split(good, ".")
		coded := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
		sign := func(typ string, change func(*token.Claims)) string {
			c := token.Claims{Issuer: issuer(1), Subject: id(u), Audience: []string{audience(1)}, ID: "j", Issued: w.clock.now(), Expires: w.clock.now().Add(time.Minute),
				Extra: map[string]any{"tenant": 1, "sid": "77", "type": "access"}}
			if change != nil {
				change(&c)
			}
			raw, err := w.ring.Sign(t.Context(), 1, "ES256", typ, c)
			if err != nil {
				t.Fatal(err)
			}
			return raw
		}
		app := func(sub, sid, scope string) string {
			return sign("at+jwt", func(c *token.Claims) {
				c.Subject, c.Extra = sub, map[string]any{"tenant": 1, "client_id": "growth", "scope": scope}
				if sid != "" {
					c.Extra["sid"] = sid
				}
			})
		}
		for name, raw := range map[string]string{
			"no signature": parts[0] + "." + parts[1] + ".", "alg none": coded(`{"alg":"none","typ":"at+jwt"}`) + "." + parts[1] + ".",
			"another signature": parts[0] + "." + parts[1] + "." + coded(strings.Repeat("x", 64)), "another payload": parts[0] + "." + coded(`{"tenant":1,"sub":"1"}`) + "." + parts[2],
			"HS256": coded(`{"alg":"HS256","typ":"at+jwt"}`) + "." + parts[1] + "." + parts[2], "nonsense": "a.b.c", "no tenant": coded("{}") + "." + coded("{}") + "." + coded("x"),
			"an ID token":      sign("JWT", nil),
			"another audience": sign("at+jwt", func(c *token.Claims) { c.Audience = []string{"https://other.example"} }),
			"another issuer":   sign("at+jwt", func(c *token.Claims) { c.Issuer = issuer(2) }),
			"no such session":  sign("at+jwt", nil),
			"expired": sign("at+jwt", func(c *token.Claims) {
				c.Issued, c.Expires = w.clock.now().Add(-time.Hour), w.clock.now().Add(-time.Minute)
			}),
			"no session":        sign("at+jwt", func(c *token.Claims) { delete(c.Extra, "sid") }),
			"an app of nobody":  app("", "8", "user/*.rs"),
			"another's subject": app("other", "", "system/*.rs"),
		} {
			if c, err := w.s.Authenticate(t.Context(), identity.Credentials{Bearer: raw}); !fault.Is(err, fault.Unauthenticated) {
				t.Errorf("%s: %+v %v", name, c, err)
			}
		}
		in, err := w.s.SignIn(t.Context(), identity.SignIn{Tenant: 1, Email: "nurse@example.org", Password: password})
		if err != nil {
			t.Fatal(err)
		}
		for name, raw := range map[string]string{"a refresh token": in.RefreshToken, "a cookie": in.Cookie} {
			if _, err := w.s.Authenticate(t.Context(), identity.Credentials{Bearer: raw}); !fault.Is(err, fault.Unauthenticated) {
				t.Errorf("%s as a bearer token: %v", name, err)
			}
		}
		for what, raw := range map[string]string{"user": app(id(u), "8", "user/Patient.r"), "service": app("growth", "", "system/Patient.r")} {
			c, err := w.s.Authenticate(t.Context(), identity.Credentials{Bearer: raw})
			if err != nil {
				t.Fatal(what, err)
			}
			if c.Extent(access.Read, "Patient").IsNone() || !c.Extent(access.Read, "Observation").IsNone() || c.Permits("users:read") {
				t.Errorf("%s: %+v", what, c)
			}
			if what == "user" && (c.User != u.ID || c.Self[0] != "Practitioner/5" || c.Client != "growth") || what == "service" && (c.User != 0 || c.Who != "Client/growth") {
				t.Errorf("%s: %+v", what, c)
			}
			w.apps.dead.Store(true)
			w.clock.add(3 * time.Second)
			if _, err := w.s.Authenticate(t.Context(), identity.Credentials{Bearer: raw}); !fault.Is(err, fault.Unauthenticated) {
				t.Errorf("%s, revoked: %v", what, err)
			}
			w.apps.dead.Store(false)
		}
	})
}

// TestOtherProcess: what one process ends, another hears within two seconds.
func TestOtherProcess(t *testing.T) {
	each(t, nil, func(t *testing.T, w *world) {
		w.user(1, "nurse@example.org", "nurse")
		policies, err := access.Compile(access.DefaultPolicies())
		if err != nil {
			t.Fatal(err)
		}
		second, err := identity.New(t.Context(), identity.Options{Ledger: w.store.Ledger(), Records: w.store, Tokens: w.ring, Policies: policies, Clock: w.clock.now,
			Issuer: issuer, Audience: audience})
		if err != nil {
			t.Fatal(err)
		}
		in, err := w.s.SignIn(t.Context(), identity.SignIn{Tenant: 1, Email: "nurse@example.org", Password: password})
		if err != nil {
			t.Fatal(err)
		}
		ask := func(s *identity.Service) error {
			_, err := s.Authenticate(t.Context(), identity.Credentials{Bearer: in.AccessToken})
			return err
		}
		for _, s := range []*identity.Service{w.s, second} {
			if err := ask(s); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.s.EndSession(t.Context(), 1, in.Session, "a test"); err != nil {
			t.Fatal(err)
		}
		if ask(w.s) == nil {
			t.Error("this process goes on")
		}
		w.clock.add(2 * time.Second)
		if ask(second) == nil {
			t.Error("the other goes on after two seconds")
		}
	})
}

// BenchmarkAuthenticate is the way that every request goes: a token that was met before.
func BenchmarkAuthenticate(b *testing.B) {
	w := benchWorld(b)
	in, err := w.s.SignIn(b.Context(), identity.SignIn{Tenant: 1, Email: "nurse@example.org", Password: password})
	if err != nil {
		b.Fatal(err)
	}
	c := identity.Credentials{Bearer: in.AccessToken, Address: "192.0.2.1"}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := w.s.Authenticate(b.Context(), c); err != nil {
			b.Fatal(err)
		}
	}
}

// TestNobodySaysWhoTheyAre: whoever may change users does not link themselves to a record, or to a practitioner.
func TestNobodySaysWhoTheyAre(t *testing.T) {
	each(t, nil, func(t *testing.T, w *world) {
		w.user(1, "ops@example.org", "system_admin")
		ops := w.token("ops@example.org")
		for name, body := range map[string]any{
			"patient":      map[string]any{"patient": "Patient/3"},
			"patients":     map[string]any{"patients": []string{"Patient/3"}},
			"practitioner": map[string]any{"fhirUser": "Practitioner/3"},
		} {
			w.want(name, w.do("PATCH", "/api/v1/users/me", ops, body), 403)
		}
	})
}
