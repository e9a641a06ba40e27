package identity_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/nilecare/nilecare/internal/audit"
	"github.com/nilecare/nilecare/internal/module/identity"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/storetest"
)

// notes collects what is audited.
type notes struct {
	mu  sync.Mutex
	all []audit.Entry
}

func (n *notes) Note(e audit.Entry) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.all = append(n.all, e)
}

// TestAudit: successes, failures, lock-outs, reuse and changes are audited, without contact data.
func TestAudit(t *testing.T) {
	var n notes
	w := newWorld(t, storetest.SQLite(t, record.Options{Audit: &n, Tables: identity.Tables()}), nil)
	w.user(1, "admin@example.org", "admin")
	u := w.user(1, "nurse@example.org", "nurse")
	adm, first := w.token("admin@example.org"), w.login("nurse@example.org")
	refresh := m{"refreshToken": first.text("refreshToken")}
	w.do("POST", "/api/v1/auth/refresh", "", refresh)
	w.do("POST", "/api/v1/auth/refresh", "", refresh)
	for range 6 {
		w.do("POST", "/api/v1/auth/login", "", m{"email": "nurse@example.org", "password": "another bad try"})
	}
	w.do("POST", "/api/v1/users/"+id(u)+"/unlock", adm, nil)
	w.do("POST", "/api/v1/roles/assign", adm, m{"userId": id(u), "roleName": "doctor"})
	key := w.do("POST", "/api/v1/api-keys", adm, m{"name": "k", "scopes": []string{"users:read"}})
	w.do("DELETE", "/api/v1/api-keys/"+key.text("apiKey.id"), adm, nil)
	w.do("POST", "/api/v1/auth/logout", adm, nil)
	n.mu.Lock()
	defer n.mu.Unlock()
	var got []string
	for _, e := range n.all {
		if e.Kind == audit.Rest {
			continue
		}
		got = append(got, fmt.Sprintf("%d %s %s %d", e.Kind, e.Action, e.Type, e.Outcome))
		text := fmt.Sprintf("%+v", e)
		for _, hidden := range []string{"example.org", password, "another bad try", first.text("refreshToken"), key.text("key")} {
			if strings.Contains(text, hidden) {
				t.Errorf("%s tells %q", text, hidden)
			}
		}
		if e.Tenant != 1 || e.Who == "" {
			t.Errorf("%+v", e)
		}
	}
	for _, want := range []string{
		fmt.Sprintf("%d create User 0", audit.Admin), fmt.Sprintf("%d login User 0", audit.Session), fmt.Sprintf("%d refresh User 0", audit.Session),
		fmt.Sprintf("%d refresh-reuse User 4", audit.Security), fmt.Sprintf("%d login User 4", audit.Session), fmt.Sprintf("%d lock-out User 4", audit.Security),
		fmt.Sprintf("%d unlock User 0", audit.Admin), fmt.Sprintf("%d update User 0", audit.Admin), fmt.Sprintf("%d create Key 0", audit.Admin),
		fmt.Sprintf("%d revoke Key 0", audit.Admin), fmt.Sprintf("%d logout User 0", audit.Session),
	} {
		if !slices.Contains(got, want) {
			t.Errorf("%q is not audited: %q", want, got)
		}
	}
}
