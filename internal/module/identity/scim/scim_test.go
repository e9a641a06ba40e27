package scim_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/module/identity"
	"github.com/nilecare/nilecare/internal/module/identity/scim"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/storetest"
	"github.com/nilecare/nilecare/internal/token"
)

type m = map[string]any

type world struct {
	t       *testing.T
	people  *identity.Service
	s       *scim.Service
	base    string
	key     string
	deleted []int64
}

const public = "https://clinic.example"

func system() context.Context { return access.With(context.Background(), access.System(1)) }

func each(t *testing.T, f func(t *testing.T, w *world)) {
	t.Helper()
	storetest.Each(t, record.Options{Tables: append(identity.Tables(), scim.Tables()...)}, func(t *testing.T, store *record.Store) {
		ctx := context.Background()
		w := &world{t: t}
		if err := store.Ledger().Migrate(ctx, token.Module, token.Migrations()); err != nil {
			t.Fatal(err)
		}
		policies, err := access.Compile(access.DefaultPolicies())
		if err != nil {
			t.Fatal(err)
		}
		base := func(int32) string { return public }
		if w.people, err = identity.New(ctx, identity.Options{Ledger: store.Ledger(), Records: store, Tokens: token.New(store.Ledger(), token.Options{}),
			Policies: policies, Issuer: base, Audience: base}); err != nil {
			t.Fatal(err)
		}
		if w.s, err = scim.New(ctx, scim.Options{Ledger: store.Ledger(), Directory: w.people, Base: base, Roles: []string{"nurse"},
			Deleted: func(_ context.Context, _ int32, user int64) error { w.deleted = append(w.deleted, user); return nil }}); err != nil {
			t.Fatal(err)
		}
		srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			c := access.Anonymous()
			if key, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
				known, err := w.people.Authenticate(r.Context(), identity.Credentials{APIKey: key})
				if err != nil {
					t.Error(err)
				} else {
					c = known
				}
			}
			w.s.Handler().ServeHTTP(rw, r.WithContext(access.With(r.Context(), c)))
		}))
		t.Cleanup(srv.Close)
		w.base = srv.URL + "/scim/v2"
		w.key = w.newKey("users:write")
		f(t, w)
	})
}

func (w *world) newKey(scopes ...string) string {
	w.t.Helper()
	key, _, err := w.people.CreateKey(system(), 1, identity.NewKey{Name: "directory", Scopes: scopes})
	if err != nil {
		w.t.Fatal(err)
	}
	return key
}

type reply struct {
	status int
	header http.Header
	raw    string
	m      m
}

func (r reply) at(path string) any {
	var v any = r.m
	for _, name := range strings.Split(path, "/") {
		switch x := v.(type) {
		case m:
			v = x[name]
		case []any:
			i := 0
			if _, err := fmt.Sscan(name, &i); err != nil || i >= len(x) {
				return nil
			}
			v = x[i]
		default:
			return nil
		}
	}
	return v
}

func (r reply) text(path string) string { return fmt.Sprint(r.at(path)) }

func (w *world) do(method, path, body string, header ...string) reply {
	w.t.Helper()
	r, err := http.NewRequest(method, w.base+strings.NewReplacer(" ", "%20", `"`, "%22").Replace(path), strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+w.key)
	if body != "" {
		r.Header.Set("Content-Type", "application/scim+json; charset=utf-8")
	}
	for i := 0; i+1 < len(header); i += 2 {
		if r.Header.Set(header[i], header[i+1]); header[i+1] == "" {
			r.Header.Del(header[i])
		}
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	out := reply{resp.StatusCode, resp.Header, string(raw), m{}}
	if len(raw) > 0 {
		if err := json.Unmarshal(raw, &out.m); err != nil {
			w.t.Fatalf("%s %s: %v: %s", method, path, err, raw)
		}
		if !strings.HasPrefix(resp.Header.Get("Content-Type"), "application/scim+json") {
			w.t.Errorf("%s %s: %s", method, path, resp.Header.Get("Content-Type"))
		}
	}
	return out
}

// want is a request that must end so; typ is the error's scimType.
func (w *world) want(status int, typ, method, path, body string, header ...string) reply {
	w.t.Helper()
	got := w.do(method, path, body, header...)
	if got.status != status || typ != "" && got.m["scimType"] != typ {
		w.t.Fatalf("%s %s: %d %s, not %d %s", method, path, got.status, got.raw, status, typ)
	}
	if status >= 400 && (got.text("schemas/0") != "urn:ietf:params:scim:api:messages:2.0:Error" || got.m["status"] != fmt.Sprint(status)) {
		w.t.Errorf("%s %s: %s is no error of SCIM", method, path, got.raw)
	}
	return got
}

const (
	patchHead  = `{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":`
	enterprise = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
)

// TestEntra: what Entra ID's provisioning sends, in its order and its forms.
func TestEntra(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		// The connection's test: a user that there is none of.
		got := w.want(200, "", "GET", `/Users?filter=userName eq "non-existent-user@contoso.example"`, "")
		if got.text("totalResults") != "0" || got.text("schemas/0") != "urn:ietf:params:scim:api:messages:2.0:ListResponse" || got.raw == "" || !strings.Contains(got.raw, `"Resources":[]`) {
			t.Errorf("%s", got.raw)
		}
		made := w.want(201, "", "POST", "/Users", `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User","`+enterprise+`"],"externalId":"0a21f0f2","userName":"Amna.Idris@contoso.example",
			"active":true,"displayName":"Amna Idris","emails":[{"primary":true,"type":"work","value":"Amna.Idris@contoso.example"}],"meta":{"resourceType":"User"},
			"name":{"formatted":"Amna Idris","familyName":"Idris","givenName":"Amna"},"roles":[],"title":"Nurse","preferredLanguage":"ar-SD",
			"`+enterprise+`":{"employeeNumber":"701984","department":"Ward 3","manager":"26118915"}}`)
		id := made.text("id")
		if made.text("userName") != "Amna.Idris@contoso.example" || made.at("active") != true || made.text(enterprise+"/manager/value") != "26118915" ||
			made.header.Get("Location") != public+"/scim/v2/Users/"+id || made.header.Get("ETag") != made.text("meta/version") || made.text("groups/0/value") != "patient" {
			t.Errorf("%s", made.raw)
		}
		u, err := w.people.ByEmail(system(), 1, "amna.idris@contoso.example")
		if err != nil || u.FirstName != "Amna" || u.LastName != "Idris" || u.Department != "Ward 3" || u.Locale != "ar-SD" || !u.EmailVerified || u.Status != identity.Active {
			t.Fatalf("%+v %v", u, err)
		}
		w.want(409, "uniqueness", "POST", "/Users", `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"amna.idris@CONTOSO.example","emails":[{"value":"new@contoso.example"}]}`)
		w.want(409, "uniqueness", "POST", "/Users", `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"other","emails":[{"value":"amna.idris@contoso.example"}]}`)
		for filter, want := range map[string]string{`externalId eq "0a21f0f2"`: "1", `userName eq "amna.idris@contoso.example"`: "1", `userName eq "x@contoso.example"`: "0",
			`id eq "` + id + `"`: "1", `emails[type eq "work"].value eq "x"`: "400", `emails[type eq "work" and value sw "amna"] and active eq true`: "1", `title eq "nurse"`: "1",
			enterprise + `:employeeNumber eq "701984"`: "1", `not (active eq true)`: "0", `userName eq`: "400", `meta.created gt "2001-01-01T00:00:00Z"`: "1"} {
			got := w.do("GET", "/Users?filter="+filter, "")
			if got.text("totalResults") != want && fmt.Sprint(got.status) != want {
				t.Errorf("%s: %d %s", filter, got.status, got.raw)
			}
		}
		// Changes, with verbs in capitals, without a path, with URNs before names.
		got = w.want(200, "", "PATCH", "/Users/"+id, patchHead+`[{"op":"Replace","path":"name.familyName","value":"Hassan"},{"op":"Add","path":"`+enterprise+`:department","value":"Ward 4"},
			{"op":"Add","path":"phoneNumbers[type eq \"work\"].value","value":"+249 912 345 678"},{"op":"Replace","value":{"displayName":"A. Hassan","`+enterprise+`:employeeNumber":"7"}}]}`)
		u, err = w.people.User(system(), 1, u.ID)
		if err != nil || u.LastName != "Hassan" || u.Department != "Ward 4" || u.Phone != "+249 912 345 678" || got.text(enterprise+"/employeeNumber") != "7" || got.text("displayName") != "A. Hassan" {
			t.Errorf("%+v %v %s", u, err, got.raw)
		}
		w.want(200, "", "PATCH", "/Users/"+id, patchHead+`[{"op":"Replace","path":"active","value":"False"}]}`)
		if u, _ = w.people.User(system(), 1, u.ID); u.Status != identity.Inactive {
			t.Errorf("%s", u.Status)
		}
		w.want(200, "", "PATCH", "/Users/"+id, patchHead+`[{"op":"Replace","path":"active","value":"True"},{"op":"Replace","path":"emails[type eq \"work\"].value","value":"amna@contoso.example"}]}`)
		if u, _ = w.people.User(system(), 1, u.ID); u.Status != identity.Active || u.Email != "amna@contoso.example" || !u.EmailVerified {
			t.Errorf("%+v", u)
		}
		// Groups: a role of the program's by its name, and one of the directory's own.
		if got := w.want(200, "", "GET", `/Groups?excludedAttributes=members&filter=displayName eq "nurse"`, ""); got.text("totalResults") != "1" || got.text("Resources/0/id") != "nurse" {
			t.Errorf("%s", got.raw)
		}
		w.want(200, "", "PATCH", "/Groups/nurse", patchHead+`[{"op":"Add","path":"members","value":[{"$ref":null,"value":"`+id+`"}]}]}`)
		if u, _ = w.people.User(system(), 1, u.ID); strings.Join(u.Roles, " ") != "nurse" {
			t.Errorf("%v", u.Roles)
		}
		group := w.want(201, "", "POST", "/Groups", `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:Group"],"externalId":"8aa1a0c0","displayName":"Night Shift","members":[{"value":"`+id+`"}]}`)
		if group.text("id") != "night_shift" || group.text("displayName") != "Night Shift" || group.text("members/0/value") != id {
			t.Errorf("%s", group.raw)
		}
		w.want(409, "uniqueness", "POST", "/Groups", `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:Group"],"displayName":"night shift"}`)
		if got := w.want(200, "", "GET", "/Users/"+id+"?attributes=groups,userName", ""); len(got.at("groups").([]any)) != 2 || got.at("emails") != nil {
			t.Errorf("%s", got.raw)
		}
		w.want(200, "", "PATCH", "/Groups/nurse", patchHead+`[{"op":"Remove","path":"members","value":[{"value":"`+id+`"}]}]}`)
		w.want(200, "", "PATCH", "/Groups/night_shift", patchHead+`[{"op":"remove","path":"members[value eq \"`+id+`\"]"}]}`)
		if u, _ = w.people.User(system(), 1, u.ID); strings.Join(u.Roles, " ") != "patient" {
			t.Errorf("%v", u.Roles)
		}
		w.want(204, "", "DELETE", "/Groups/night_shift", "")
		w.want(404, "", "GET", "/Groups/night_shift", "")
		w.want(403, "", "DELETE", "/Groups/nurse", "")
		w.want(204, "", "DELETE", "/Users/"+id, "")
		w.want(404, "", "GET", "/Users/"+id, "")
		w.want(404, "", "DELETE", "/Users/"+id, "")
		if len(w.deleted) != 1 || w.deleted[0] != u.ID {
			t.Errorf("%v", w.deleted)
		}
		w.want(201, "", "POST", "/Users", `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"Amna.Idris@contoso.example"}`)
	})
}

// TestOkta: what Okta sends: PUT of whole users, value objects without a path, startIndex and count.
func TestOkta(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		if got := w.want(200, "", "GET", "/Users?startIndex=1&count=2", ""); got.text("startIndex") != "1" || got.text("totalResults") != "0" {
			t.Errorf("%s", got.raw)
		}
		made := w.want(201, "", "POST", "/Users", `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"test.user@okta.example","name":{"givenName":"Test","familyName":"User"},
			"emails":[{"primary":true,"value":"test.user@okta.example","type":"work"}],"displayName":"Test User","locale":"en-US","externalId":"00ujl29u0","groups":[],
			"password":"1mz050nq-x-long","active":true}`)
		id := made.text("id")
		if strings.Contains(made.raw, "1mz050nq") || made.at("password") != nil {
			t.Errorf("a password is told: %s", made.raw)
		}
		if _, err := w.people.SignIn(context.Background(), identity.SignIn{Tenant: 1, Email: "test.user@okta.example", Password: "1mz050nq-x-long", Address: "127.0.0.1"}); err != nil {
			t.Errorf("the first password does not sign in: %v", err)
		}
		put := w.want(200, "", "PUT", "/Users/"+id, `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"id":"`+id+`","userName":"test.user@okta.example","name":{"givenName":"Another","middleName":"Middle",
			"familyName":"User"},"emails":[{"primary":true,"value":"test.user@okta.example","type":"work"}],"active":true,"groups":[],"meta":{"resourceType":"User"}}`)
		if put.text("name/givenName") != "Another" || put.text("name/middleName") != "Middle" || put.at("externalId") != nil || put.at("displayName") != nil {
			t.Errorf("%s", put.raw)
		}
		w.want(200, "", "PATCH", "/Users/"+id, patchHead+`[{"op":"replace","value":{"active":false}}]}`)
		if got := w.want(200, "", "GET", "/Users/"+id, ""); got.at("active") != false {
			t.Errorf("%s", got.raw)
		}
		w.want(400, "mutability", "PATCH", "/Users/"+id, patchHead+`[{"op":"replace","value":{"password":"another long password"}}]}`)
		w.want(400, "invalidValue", "PUT", "/Users/"+id, `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":""}`)
		w.want(400, "invalidSyntax", "PUT", "/Users/"+id, `{"userName":"x"}`)
		w.want(400, "invalidSyntax", "PUT", "/Users/"+id, `{`)
		w.want(415, "", "PUT", "/Users/"+id, `{}`, "Content-Type", "text/plain")
		// Versions.
		tag := w.want(200, "", "GET", "/Users/"+id, "").header.Get("ETag")
		w.want(304, "", "GET", "/Users/"+id, "", "If-None-Match", tag)
		w.want(200, "", "PATCH", "/Users/"+id, patchHead+`[{"op":"replace","path":"title","value":"Dr"}]}`, "If-Match", tag)
		w.want(412, "", "PATCH", "/Users/"+id, patchHead+`[{"op":"replace","path":"title","value":"Prof"}]}`, "If-Match", tag)
		w.want(412, "", "DELETE", "/Users/"+id, "", "If-Match", tag)
		w.want(412, "", "PUT", "/Users/"+id, `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"x@y.example"}`, "If-Match", tag)
		// An administrator's suspension is not lifted by the directory.
		u, _ := w.people.ByEmail(system(), 1, "test.user@okta.example")
		if _, err := w.people.SetStatus(system(), 1, u.ID, identity.Suspended); err != nil {
			t.Fatal(err)
		}
		if got := w.want(200, "", "PATCH", "/Users/"+id, patchHead+`[{"op":"replace","value":{"active":true}}]}`); got.at("active") != false {
			t.Errorf("%s", got.raw)
		}
		// Pages and order.
		for _, name := range []string{"c", "a", "b"} {
			w.want(201, "", "POST", "/Users", `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"`+name+`@okta.example","name":{"familyName":"`+name+`"}}`)
		}
		for query, want := range map[string]string{
			"sortBy=userName":                                           "a@okta.example b@okta.example c@okta.example test.user@okta.example",
			"sortBy=userName&sortOrder=descending":                      "test.user@okta.example c@okta.example b@okta.example a@okta.example",
			"sortBy=userName&startIndex=2&count=2":                      "b@okta.example c@okta.example",
			"sortBy=name.familyName&count=1":                            "a@okta.example",
			"sortBy=userName&startIndex=9":                              "",
			"count=0":                                                   "",
			"startIndex=-3&count=1&sortBy=emails":                       "a@okta.example",
			`filter=userName sw "b"&attributes=id`:                      "<nil>",
			"startIndex=3&count=1":                                      "a@okta.example c@okta.example b@okta.example test.user@okta.example",
			`filter=userName sw "a" or userName sw "b"&sortBy=userName`: "a@okta.example b@okta.example",
		} {
			got := w.want(200, "", "GET", "/Users?"+query, "")
			var names []string
			for i := range got.at("Resources").([]any) {
				names = append(names, got.text(fmt.Sprintf("Resources/%d/userName", i)))
			}
			if query == "startIndex=3&count=1" {
				if len(names) != 1 || !strings.Contains(want, names[0]) {
					t.Errorf("%s: %v", query, names)
				}
				continue
			}
			if strings.Join(names, " ") != want {
				t.Errorf("%s: %v, not %s", query, names, want)
			}
		}
		searched := w.want(200, "", "POST", "/Users/.search", `{"schemas":["urn:ietf:params:scim:api:messages:2.0:SearchRequest"],"filter":"userName sw \"a\"","attributes":["userName"],"count":5}`)
		if searched.text("totalResults") != "1" || searched.text("Resources/0/userName") != "a@okta.example" || searched.at("Resources/0/active") != nil {
			t.Errorf("%s", searched.raw)
		}
		for _, query := range []string{"filter=x", "count=x", "sortOrder=up", "attributes=a b", "attributes=id&excludedAttributes=name", "sortBy=a[b pr]"} {
			w.want(400, "", "GET", "/Users?"+query, "")
		}
	})
}

// TestBulk: operations one after the other, with references, failures, and bounds.
func TestBulk(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		const head = `{"schemas":["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],`
		user := func(id, name string) string {
			return `{"method":"POST","path":"/Users","bulkId":"` + id + `","data":{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"` + name + `@x.example"}}`
		}
		got := w.want(200, "", "POST", "/Bulk", head+`"Operations":[`+user("q1", "a")+`,`+user("q2", "a")+`,
			{"method":"POST","path":"/Groups","bulkId":"g","data":{"schemas":["urn:ietf:params:scim:schemas:core:2.0:Group"],"displayName":"Guides","members":[{"type":"User","value":"bulkId:q1"}]}},
			{"method":"PATCH","path":"/Users/bulkId:q1","data":`+patchHead+`[{"op":"add","path":"title","value":"T"}]}},
			{"method":"PATCH","path":"/Groups/bulkId:q2","data":{}},{"method":"GET","path":"/Users","bulkId":"x"},{"method":"POST","path":"/Bulk","bulkId":"y"},
			{"method":"DELETE","path":"/Users/bulkId:q1","version":"W/\"no\""},{"method":"DELETE","path":"/Users/bulkId:q1"}]}`)
		var statuses []string
		for i := range got.at("Operations").([]any) {
			statuses = append(statuses, got.text(fmt.Sprintf("Operations/%d/status", i)))
		}
		if s := strings.Join(statuses, " "); s != "201 409 201 200 409 400 400 412 204" {
			t.Fatalf("%s: %s", s, got.raw)
		}
		if got.text("Operations/1/response/scimType") != "uniqueness" || !strings.HasPrefix(got.text("Operations/0/location"), public+"/scim/v2/Users/") || got.text("Operations/0/version") == "" {
			t.Errorf("%s", got.raw)
		}
		got = w.want(200, "", "POST", "/Bulk", head+`"failOnErrors":1,"Operations":[{"method":"DELETE","path":"/Users/1"},`+user("z", "z")+`]}`)
		if len(got.at("Operations").([]any)) != 1 {
			t.Errorf("%s", got.raw)
		}
		w.want(413, "", "POST", "/Bulk", head+`"Operations":[`+strings.TrimSuffix(strings.Repeat(`{"method":"DELETE","path":"/Users/1"},`, 201), ",")+`]}`)
		w.want(413, "", "POST", "/Bulk", head+`"x":"`+strings.Repeat("x", 1<<20)+`","Operations":[]}`)
		w.want(400, "invalidSyntax", "POST", "/Bulk", `{"Operations":[]}`)
	})
}

// TestDescriptions: what a client reads before anything else.
func TestDescriptions(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := w.want(200, "", "GET", "/ServiceProviderConfig", "")
		if c.at("patch/supported") != true || c.at("changePassword/supported") != false || c.text("bulk/maxOperations") != "200" || c.text("authenticationSchemes/0/type") != "oauthbearertoken" {
			t.Errorf("%s", c.raw)
		}
		for path, want := range map[string]string{"/Schemas": "3", "/ResourceTypes": "2"} {
			got := w.want(200, "", "GET", path, "")
			if got.text("totalResults") != want {
				t.Errorf("%s", got.raw)
			}
			for i := range got.at("Resources").([]any) {
				id := got.text(fmt.Sprintf("Resources/%d/id", i))
				if one := w.want(200, "", "GET", path+"/"+id, ""); one.text("id") != id {
					t.Errorf("%s", one.raw)
				}
			}
		}
		w.want(403, "", "GET", "/Schemas?filter=id pr", "")
		w.want(404, "", "GET", "/Schemas/x", "")
		w.want(404, "", "GET", "/Nothing", "")
		w.want(501, "", "GET", "/Me", "")
	})
}

// TestWhoMay: SCIM is for keys that may write users; and none gives what it may not do itself.
func TestWhoMay(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.want(401, "", "GET", "/Users", "", "Authorization", "")
		w.want(403, "", "GET", "/Users", "", "Authorization", "Bearer "+w.newKey("users:read"))
		made := w.want(201, "", "POST", "/Users", `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"a@x.example"}`)
		id := made.text("id")
		weak := []string{"Authorization", "Bearer " + w.newKey("users:*")}
		w.want(200, "", "GET", "/Users/"+id, "", weak...)
		w.want(403, "", "PATCH", "/Groups/admin", patchHead+`[{"op":"add","path":"members","value":[{"value":"`+id+`"}]}]}`, weak...)
		w.want(403, "", "PATCH", "/Groups/doctor", patchHead+`[{"op":"add","path":"members","value":[{"value":"`+id+`"}]}]}`, weak...)
		w.want(400, "mutability", "PATCH", "/Users/"+id, patchHead+`[{"op":"add","path":"groups","value":[{"value":"admin"}]}]}`)
		if got := w.want(200, "", "GET", "/Users/"+id, ""); got.text("groups/0/value") != "patient" || got.text("groups/1/value") != "<nil>" {
			t.Errorf("%s", got.raw)
		}
		u, err := w.people.ByEmail(system(), 1, "a@x.example")
		if err != nil {
			t.Fatal(err)
		}
		own, nurse := []string{"keys:manage"}, []string{"nurse"}
		if _, err := w.people.Update(system(), 1, u.ID, identity.Change{Roles: &nurse, Permissions: &own}); err != nil {
			t.Fatal(err)
		}
		w.want(403, "", "PATCH", "/Users/"+id, patchHead+`[{"op":"replace","path":"emails","value":[{"value":"mine@x.example"}]}]}`)
		roles := []string{"system_admin"}
		if _, err := w.people.Update(system(), 1, u.ID, identity.Change{Roles: &roles}); err != nil {
			t.Fatal(err)
		}
		w.want(403, "", "PATCH", "/Users/"+id, patchHead+`[{"op":"replace","path":"active","value":false}]}`, weak...)
		w.want(403, "", "DELETE", "/Users/"+id, "", weak...)
		w.want(400, "invalidValue", "PATCH", "/Groups/nurse", patchHead+`[{"op":"add","path":"members","value":[{"value":"12"}]}]}`)
		w.want(400, "invalidValue", "PATCH", "/Groups/nurse", patchHead+`[{"op":"add","path":"members","value":[{"value":"x"}]}]}`)
		w.want(400, "mutability", "PATCH", "/Groups/nurse", patchHead+`[{"op":"replace","path":"displayName","value":"Nurses"}]}`)
	})
}
