package audit_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	ledger "github.com/nilecare/nilecare/internal/audit"
	"github.com/nilecare/nilecare/internal/ident"
	"github.com/nilecare/nilecare/internal/module/audit"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/storetest"
)

// notes collects what is noted.
type notes struct {
	mu  sync.Mutex
	all []ledger.Entry
}

func (n *notes) Note(e ledger.Entry) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.all = append(n.all, e)
}

func (n *notes) String() string {
	var b strings.Builder
	for _, e := range n.all {
		b.WriteString(e.Action + "/" + e.Severity + " ")
	}
	return strings.TrimSpace(b.String())
}

// places knows where some addresses are.
type places map[string][2]float64

func (p places) Locate(address string) (float64, float64, bool) {
	at, ok := p[address]
	return at[0], at[1], ok
}

func TestDetection(t *testing.T) {
	store := storetest.SQLite(t, record.Options{})
	start := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	login := func(after time.Duration, outcome ledger.Outcome, address string, session int64) ledger.Entry {
		return ledger.Entry{ID: ident.FirstAt(start.Add(after)), Tenant: 1, Kind: ledger.Session, Action: "login", Outcome: outcome, Who: "User/7", Address: address, Session: session}
	}
	repeat := func(n int, step time.Duration, make func(time.Duration) ledger.Entry) (out []ledger.Entry) {
		for i := range n {
			out = append(out, make(time.Duration(i)*step))
		}
		return out
	}
	failed := func(d time.Duration) ledger.Entry { return login(d, ledger.Minor, "192.0.2.1", 0) }
	refused := func(d time.Duration) ledger.Entry {
		return ledger.Entry{ID: ident.FirstAt(start.Add(d)), Tenant: 1, Kind: ledger.Rest, Action: "read", Outcome: ledger.Minor, Who: "User/7", Address: "192.0.2.1"}
	}
	reads := func(who string, count int) ledger.Entry {
		return ledger.Entry{ID: ident.FirstAt(start), Tenant: 1, Kind: ledger.Rest, Action: "search", Who: who, Count: count}
	}
	for name, c := range map[string]struct {
		entries []ledger.Entry
		want    string
	}{
		"four failures":        {repeat(4, time.Minute, failed), ""},
		"five failures":        {repeat(5, time.Minute, failed), "failed-logins/high failed-logins/high"}, // of the account, and of the address
		"nine failures":        {repeat(9, time.Minute, failed), "failed-logins/high failed-logins/high"},
		"slow failures":        {repeat(9, 5*time.Minute, failed), ""},
		"nineteen refusals":    {repeat(19, time.Second, refused), ""},
		"twenty refusals":      {repeat(25, time.Second, refused), "repeated-refusals/medium"},
		"two networks":         {[]ledger.Entry{login(0, 0, "192.0.2.1", 1), login(time.Minute, 0, "198.51.100.1", 2)}, "concurrent-networks/medium"},
		"one network":          {[]ledger.Entry{login(0, 0, "192.0.2.1", 1), login(time.Minute, 0, "192.0.2.200", 2)}, ""},
		"much later":           {[]ledger.Entry{login(0, 0, "192.0.2.1", 1), login(time.Hour, 0, "198.51.100.1", 2)}, ""},
		"signed out between":   {[]ledger.Entry{login(0, 0, "192.0.2.1", 1), {ID: ident.FirstAt(start), Tenant: 1, Kind: ledger.Session, Action: "logout", Who: "User/7", Session: 1}, login(time.Minute, 0, "198.51.100.1", 2)}, ""},
		"Khartoum to London":   {[]ledger.Entry{login(0, 0, "203.0.113.1", 1), login(2*time.Hour, 0, "203.0.113.2", 2)}, "impossible-travel/high"},
		"by aeroplane":         {[]ledger.Entry{login(0, 0, "203.0.113.1", 1), login(9*time.Hour, 0, "203.0.113.2", 2)}, ""},
		"break-glass":          {[]ledger.Entry{{ID: 1, Tenant: 1, Kind: ledger.Admin, Action: "break-glass", Who: "User/7", Detail: "unconscious"}}, "break-glass/high"},
		"lock-out":             {[]ledger.Entry{{ID: 1, Tenant: 1, Kind: ledger.Session, Action: "account-locked", Who: "User/7"}}, "account-locked/high"},
		"unlock":               {[]ledger.Entry{{ID: 1, Tenant: 1, Kind: ledger.Admin, Action: "unlock", Type: "User"}}, ""},
		"a role":               {[]ledger.Entry{{ID: 1, Tenant: 1, Kind: ledger.Admin, Action: "assign-role", Type: "User", Num: 3, Who: "User/1"}}, "privileges-changed/medium"},
		"an ordinary day":      {[]ledger.Entry{reads("User/7", 400)}, ""},
		"a spike":              {[]ledger.Entry{reads("User/8", 400), reads("User/8", 200), reads("User/8", 900)}, "export-spike/high"},
		"what is usual":        {[]ledger.Entry{reads("User/9", 1200)}, ""},
		"the program itself":   {[]ledger.Entry{reads("system", 1<<20)}, ""},
		"told already":         {[]ledger.Entry{{ID: 1, Tenant: 1, Kind: ledger.Security, Action: "break-glass", Severity: "high"}}, ""},
		"another user's fails": {append(repeat(3, time.Second, failed), ledger.Entry{ID: ident.FirstAt(start.Add(time.Minute)), Tenant: 1, Kind: ledger.Session, Action: "login", Outcome: ledger.Minor, Who: "User/8", Address: "192.0.2.77"}), ""},
	} {
		t.Run(name, func(t *testing.T) {
			var found notes
			now := func() time.Time { return start.Add(time.Minute) }
			s, err := audit.New(ctx, audit.Options{Ledger: store.Ledger(), Log: ledger.NewLog(ledger.Options{}), Clock: now})
			if err != nil {
				t.Fatal(err)
			}
			if name == "what is usual" { // a week of busy hours
				past := audit.NewDetector(&notes{}, now, nil)
				past.Start(s)
				for h := range 7 {
					e := reads("User/9", 480)
					e.ID = ident.FirstAt(start.Add(-time.Duration(h+1) * 24 * time.Hour))
					past.Watch([]ledger.Entry{e})
				}
				past.Close()
			}
			d := audit.NewDetector(&found, now, places{"203.0.113.1": {15.5, 32.56}, "203.0.113.2": {51.5, -0.12}})
			d.Start(s)
			d.Watch(c.entries)
			d.Close()
			if got := found.String(); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}
