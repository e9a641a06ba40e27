package audit

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"net/netip"
	"strings"
	"sync"
	"time"

	ledger "github.com/nilecare/nilecare/internal/audit"
	"github.com/nilecare/nilecare/internal/clock"
	"github.com/nilecare/nilecare/internal/ident"
)

// What is taken for suspicious. The values are those of the guides that the platform follows: five failed sign-ins, as for a lock-out.
const (
	failedLogins  = 5
	failedWithin  = 15 * time.Minute
	refusals      = 20
	refusedWithin = 5 * time.Minute
	netsWithin    = 10 * time.Minute
	speedLimit    = 900.0 // km/h: an airliner's
	speedFloor    = 100.0 // km: below it the position of an address is too coarse
)

// Locator tells where an address is, for the speed between sign-ins. ok is false where it is not known.
type Locator interface {
	Locate(address string) (latitude, longitude float64, ok bool)
}

// Detector looks at entries as they are written, and notes security events. It sees what this process writes; counts of what a user reads are
// shared by all processes through the database.
type Detector struct {
	sink    ledger.Sink
	clock   clock.Clock
	locator Locator
	volume  func(ctx context.Context, counts map[volumeKey]int64) ([]spike, error)

	mu      sync.Mutex
	queue   [][]ledger.Entry
	dropped int
	wake    chan struct{}
	stop    chan struct{}
	wg      sync.WaitGroup

	// What follows belongs to the goroutine that looks.
	failed, refused map[subject]*window
	signIns         map[subject][]signIn
	counts          map[volumeKey]int64
}

// subject is whom a count is of.
type subject struct {
	tenant int32
	what   string // "user", "address"
	name   string
}

// window is the times of late, oldest first, and until when nothing more is told.
type window struct {
	times []time.Time
	quiet time.Time
}

// add takes up a time, and reports whether there are n of them within the span, and nothing was told of it yet.
func (w *window) add(at time.Time, n int, span time.Duration) bool {
	w.times = append(w.times, at)
	for len(w.times) > 0 && at.Sub(w.times[0]) > span {
		w.times = w.times[1:]
	}
	if len(w.times) < n || at.Before(w.quiet) {
		return false
	}
	w.quiet = at.Add(span)
	return true
}

type signIn struct {
	at      time.Time
	session int64
	address string
	ended   bool
	told    bool
}

// queued is how many batches may wait to be looked at.
const queued = 256

// NewDetector returns a detector that notes what it finds in sink. locator may be nil: then only networks are compared. Close ends it.
func NewDetector(sink ledger.Sink, c clock.Clock, locator Locator) *Detector {
	if c == nil {
		c = clock.System
	}
	d := &Detector{sink: sink, clock: c, locator: locator, wake: make(chan struct{}, 1), stop: make(chan struct{}),
		failed: map[subject]*window{}, refused: map[subject]*window{}, signIns: map[subject][]signIn{}, counts: map[volumeKey]int64{}}
	return d
}

// Watch takes up entries; it is [ledger.Options].Watch. It never waits: where the detector does not keep up, a batch goes unlooked at, which the
// log of the program tells.
func (d *Detector) Watch(batch []ledger.Entry) {
	d.mu.Lock()
	if len(d.queue) >= queued {
		d.dropped++
	} else {
		d.queue = append(d.queue, batch)
	}
	d.mu.Unlock()
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// Start begins to look. s keeps what is usual for a user.
func (d *Detector) Start(s *Service) {
	d.volume = s.volume
	d.wg.Go(d.loop)
}

// Close looks at what is queued and ends. It must come before the log's own Close.
func (d *Detector) Close() {
	close(d.stop)
	d.wg.Wait()
}

// volumeEvery is how often counts of what users read are added up.
const volumeEvery = time.Minute

func (d *Detector) loop() {
	tick := time.NewTicker(volumeEvery)
	defer tick.Stop()
	for {
		select {
		case <-d.wake:
			d.drain()
		case <-tick.C:
			d.addUp()
		case <-d.stop:
			d.drain()
			d.addUp()
			return
		}
	}
}

func (d *Detector) drain() {
	for {
		d.mu.Lock()
		if len(d.queue) == 0 {
			dropped := d.dropped
			d.dropped = 0
			d.mu.Unlock()
			if dropped > 0 {
				slog.Warn("audit: batches were written that detection did not look at", "batches", dropped)
			}
			return
		}
		batch := d.queue[0]
		d.queue = d.queue[1:]
		d.mu.Unlock()
		for i := range batch {
			d.look(&batch[i])
		}
		d.forget()
	}
}

// look looks at one entry.
func (d *Detector) look(e *ledger.Entry) {
	if e.Kind == ledger.Security || e.Who == "system" {
		return // told already, or the program itself
	}
	refused := e.Outcome != ledger.Success
	switch {
	case e.Kind == ledger.Session && isLogin(e.Action) && refused || e.Action == "login-failed":
		d.loginFailed(e)
	case e.Kind == ledger.Session && isLogin(e.Action):
		d.loggedIn(e)
	case e.Kind == ledger.Session && isEnd(e.Action):
		d.loggedOut(e)
	case refused && (e.Kind == ledger.Rest || e.Kind == ledger.Export || e.Kind == ledger.Admin):
		d.wasRefused(e)
	}
	switch {
	case refused:
	case strings.Contains(e.Action, "break-glass") && !strings.HasSuffix(e.Action, "-end"):
		d.tell(e, "break-glass", "high", "emergency access was taken: "+e.Detail)
	case strings.Contains(e.Action, "lock") && !strings.Contains(e.Action, "unlock"):
		d.tell(e, "account-locked", "high", "an account was locked: "+e.Detail)
	case e.Kind == ledger.Admin && changesPrivileges(e):
		d.tell(e, "privileges-changed", "medium", e.Action+" "+e.Type+": "+e.Detail)
	}
	if !refused && (e.Kind == ledger.Rest && letter(e.Action) != "C" && isReading(e.Action) || e.Kind == ledger.Export) {
		d.counts[volumeKey{e.Tenant, e.Who, hourOf(ident.Time(e.ID))}] += int64(max(1, e.Count))
	}
}

func isReading(action string) bool {
	l := letter(action)
	return l == "R" || strings.HasPrefix(action, "search")
}

func isLogin(action string) bool {
	return action == "login" || action == "sign-in" || strings.HasPrefix(action, "login-") && action != "login-failed"
}

func isEnd(action string) bool {
	return action == "logout" || action == "session-ended" || action == "session-revoked" || action == "revoke"
}

// changesPrivileges reports an administration of rights.
func changesPrivileges(e *ledger.Entry) bool {
	for _, word := range []string{"role", "permission", "privilege", "policy", "grant"} {
		if strings.Contains(strings.ToLower(e.Action), word) {
			return true
		}
	}
	return e.Action != "read" && e.Action != "search" && (e.Type == "Role" || e.Type == "Policy")
}

// tell notes a security event that follows from an entry.
func (d *Detector) tell(e *ledger.Entry, action, severity, detail string) {
	d.sink.Note(ledger.Entry{
		Tenant: e.Tenant, Kind: ledger.Security, Action: action, Outcome: ledger.Minor, Who: e.Who, Name: e.Name, Client: e.Client, Session: e.Session, Address: e.Address,
		Request: e.Request, Purpose: e.Purpose, Type: e.Type, Num: e.Num, Patients: e.Patients, Severity: severity, Detail: strings.TrimSuffix(detail, ": "),
	})
}

// account is whom a sign-in was about.
func account(e *ledger.Entry) string {
	if e.Type == "User" && e.Num != 0 {
		return fmt.Sprintf("User/%d", e.Num)
	}
	if e.Who == "anonymous" {
		return ""
	}
	return e.Who
}

func at(m map[subject]*window, s subject) *window {
	w := m[s]
	if w == nil {
		w = &window{}
		m[s] = w
	}
	return w
}

func (d *Detector) loginFailed(e *ledger.Entry) {
	when := ident.Time(e.ID)
	if a := account(e); a != "" && at(d.failed, subject{e.Tenant, "user", a}).add(when, failedLogins, failedWithin) {
		d.tell(e, "failed-logins", "high", fmt.Sprintf("%d sign-ins of %s failed within %s", failedLogins, a, failedWithin))
	}
	if e.Address != "" && at(d.failed, subject{e.Tenant, "address", e.Address}).add(when, failedLogins, failedWithin) {
		d.tell(e, "failed-logins", "high", fmt.Sprintf("%d sign-ins from one address failed within %s", failedLogins, failedWithin))
	}
}

func (d *Detector) wasRefused(e *ledger.Entry) {
	s := subject{e.Tenant, "user", e.Who}
	if e.Who == "" || e.Who == "anonymous" {
		s = subject{e.Tenant, "address", e.Address}
	}
	if at(d.refused, s).add(ident.Time(e.ID), refusals, refusedWithin) {
		d.tell(e, "repeated-refusals", "medium", fmt.Sprintf("%d requests were refused within %s", refusals, refusedWithin))
	}
}

func (d *Detector) loggedIn(e *ledger.Entry) {
	who := account(e)
	if who == "" || e.Address == "" {
		return
	}
	s := subject{e.Tenant, "user", who}
	now := signIn{at: ident.Time(e.ID), session: e.Session, address: e.Address}
	earlier := d.signIns[s]
	if n := len(earlier); n > 0 {
		if km, hours, ok := d.way(&earlier[n-1], &now); ok && km > speedFloor && km > speedLimit*hours {
			d.tell(e, "impossible-travel", "high", fmt.Sprintf("two sign-ins lie %.0f km and %.0f minutes apart", km, hours*60))
		}
	}
	for i := range earlier {
		b := &earlier[i]
		if !b.ended && !b.told && now.at.Sub(b.at) <= netsWithin && networkOf(b.address) != networkOf(now.address) {
			b.told = true
			d.tell(e, "concurrent-networks", "medium", fmt.Sprintf("sign-ins from two networks within %s, while both sessions are active", netsWithin))
			break
		}
	}
	d.signIns[s] = append(earlier[max(0, len(earlier)-9):], now)
}

func (d *Detector) loggedOut(e *ledger.Entry) {
	list := d.signIns[subject{e.Tenant, "user", account(e)}]
	for i := range list {
		if list[i].session == e.Session {
			list[i].ended = true
		}
	}
}

// networkOf is the network that an address is taken to be of: 24 bits of IPv4, 48 of IPv6.
func networkOf(address string) string {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return address
	}
	a = a.Unmap()
	bits := 48
	if a.Is4() {
		bits = 24
	}
	p, _ := a.Prefix(bits)
	return p.String()
}

// way is how far apart two sign-ins are, in kilometres on the sphere, and in hours.
func (d *Detector) way(a, b *signIn) (km, hours float64, ok bool) {
	if d.locator == nil || a.address == b.address {
		return 0, 0, false
	}
	lat1, lon1, ok1 := d.locator.Locate(a.address)
	lat2, lon2, ok2 := d.locator.Locate(b.address)
	if !ok1 || !ok2 {
		return 0, 0, false
	}
	return distance(lat1, lon1, lat2, lon2), math.Max(0, b.at.Sub(a.at).Hours()), true
}

// distance is that of two points on the earth, by the haversine formula.
func distance(lat1, lon1, lat2, lon2 float64) float64 {
	const radius, degree = 6371.0, math.Pi / 180
	dLat, dLon := (lat2-lat1)*degree, (lon2-lon1)*degree
	h := math.Pow(math.Sin(dLat/2), 2) + math.Cos(lat1*degree)*math.Cos(lat2*degree)*math.Pow(math.Sin(dLon/2), 2)
	return 2 * radius * math.Asin(math.Min(1, math.Sqrt(h)))
}

// kept is how many subjects are remembered; what is older than every span goes first.
const kept = 50_000

func (d *Detector) forget() {
	now := d.clock()
	for _, m := range []map[subject]*window{d.failed, d.refused} {
		if len(m) < kept {
			continue
		}
		for s, w := range m {
			if len(w.times) == 0 || now.Sub(w.times[len(w.times)-1]) > failedWithin || len(m) >= 2*kept {
				delete(m, s)
			}
		}
	}
	if len(d.signIns) >= kept {
		for s, l := range d.signIns {
			if len(l) == 0 || now.Sub(l[len(l)-1].at) > 24*time.Hour || len(d.signIns) >= 2*kept {
				delete(d.signIns, s)
			}
		}
	}
}

// addUp adds to what each user read in the hour, and tells of spikes.
func (d *Detector) addUp() {
	if len(d.counts) == 0 || d.volume == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	spikes, err := d.volume(ctx, d.counts)
	if err != nil {
		slog.Error("audit: what users read could not be added up; it is tried again", "error", err)
		return
	}
	clear(d.counts)
	for _, s := range spikes {
		d.sink.Note(ledger.Entry{Tenant: s.tenant, Kind: ledger.Security, Action: "export-spike", Outcome: ledger.Minor, Who: s.who, Severity: "high", Count: int(s.count),
			Detail: fmt.Sprintf("%d records were read or exported in an hour; usual are %.0f, and no more than %.0f", s.count, s.mean, s.limit)})
	}
}
