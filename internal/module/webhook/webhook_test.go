package webhook_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/event"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/module/webhook"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/sqldb"
	"github.com/nilecare/nilecare/internal/web"
)

const root = "/api/v1/webhooks"

// accepts verifies a request as a receiver that has the secret does.
func accepts(t *testing.T, w *world, g got, secret string) bool {
	t.Helper()
	s := &web.Signatures{Clock: w.clock.now, Replays: web.NewMemoryReplays(10, w.clock.now), Secrets: func(context.Context, string) ([][]byte, error) { return [][]byte{[]byte(secret)}, nil }}
	_, err := s.Webhook(&http.Request{Header: g.header}, "nilecare", g.body, false)
	return err == nil
}

func TestAnEventIsToldToThoseWhoWantItOnceAndSigned(t *testing.T) {
	each(t, nil, func(t *testing.T, w *world) {
		beds, patients, all, other := newReceiver(t, false), newReceiver(t, false), newReceiver(t, false), newReceiver(t, false)
		w.hook(beds.URL, "bed.*")
		id, secret := w.hook(patients.URL+"/hook?x=1", "patient.created")
		w.want(201, "admin", "POST", root, m{"url": all.URL, "topics": []string{"patient-events", "facility-events"}})
		w.want(201, "admin@2", "POST", root, m{"url": other.URL, "events": []string{"*"}})
		e := w.tell(1, created, "Patient/12")
		if err := w.s.Receive(access.With(context.Background(), access.System(1)), []event.Event{e, e}); err != nil { // read again
			t.Fatal(err)
		}
		w.tell(1, assigned, "")
		w.last(id, "it is delivered", status("delivered"))
		w.until("all have been told", func() bool { return len(beds.requests()) == 1 && len(all.requests()) == 2 })
		if len(patients.requests()) != 1 || len(other.requests()) != 0 {
			t.Errorf("%d and %d requests", len(patients.requests()), len(other.requests()))
		}
		g := patients.requests()[0]
		var c event.CloudEvent
		if err := json.Unmarshal(g.body, &c); err != nil || c.SpecVersion != "1.0" || c.Type != "nilecare.patient.created.v1" || c.ID != e.Key() || c.Patient != "Patient/12" || c.Tenant != 1 || string(c.Data) != `{"id":"1"}` {
			t.Errorf("%s", g.body)
		}
		if g.header.Get("Content-Type") != event.ContentType || g.header.Get(web.WebhookID) != e.Key() || g.header.Get("User-Agent") != "nilecare-webhook" {
			t.Errorf("%v", g.header)
		}
		if !accepts(t, w, g, secret) || accepts(t, w, g, "whsec_another") {
			t.Error("the signature is not the secret's")
		}
		a := w.want(200, "admin", "GET", root+"/"+id+"/deliveries", nil)
		if a.at("data.deliveries.0.statusCode") != 204.0 || a.at("data.deliveries.0.attempts") != 1.0 || a.text("data.deliveries.0.eventType") != "patient.created" || a.at("pagination.total") != 1.0 {
			t.Errorf("%s", a.raw)
		}
		one := w.want(200, "admin", "GET", root+"/"+id+"/deliveries/"+a.text("data.deliveries.0.id"), nil)
		if one.text("data.event.type") != "nilecare.patient.created.v1" || bytes.Contains(one.raw, []byte("secret of the receiver")) {
			t.Errorf("%s", one.raw)
		}
	})
}

func TestTheHubsEventsReachReceivers(t *testing.T) {
	each(t, nil, func(t *testing.T, w *world) {
		x := newReceiver(t, false)
		id, _ := w.hook(x.URL, "patient.*")
		w.run(w.hub.Run)
		r, err := fhir.ParseResource([]byte(`{"resourceType":"Patient"}`))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.store.Write(access.With(context.Background(), access.System(1)), []record.Change{{Op: record.Create, Type: "Patient", Resource: r}}); err != nil {
			t.Fatal(err)
		}
		w.last(id, "it is delivered", status("delivered"))
	})
}

func TestWebhooksAreManagedByAdministratorsAlone(t *testing.T) {
	each(t, nil, func(t *testing.T, w *world) {
		x := newReceiver(t, false)
		for who, want := range map[string]int{"doctor": 403, "nurse": 403, "medical_director": 403, "": 401, "admin": 201, "hospital_admin": 201, "system_admin": 403, "super_admin": 403} {
			w.want(want, who, "POST", root, m{"url": x.URL, "events": []string{"patient.created"}, "description": "of " + who})
		}
		a := w.want(200, "admin", "GET", root, nil)
		if len(a.at("data.webhooks").([]any)) != 2 || strings.Contains(string(a.raw), "whsec_") {
			t.Fatalf("%s", a.raw)
		}
		id := a.text("data.webhooks.0.id")
		w.want(404, "admin@2", "GET", root+"/"+id, nil)
		w.want(404, "admin@2", "DELETE", root+"/"+id, nil)
		w.want(404, "admin@2", "POST", root+"/"+id+"/rotate-secret", nil)
		w.want(403, "doctor", "GET", root+"/"+id, nil)
		if a := w.want(200, "admin", "PATCH", root+"/"+id, m{"description": "new", "events": []string{"patient.updated", "patient.created", "patient.created"}}); a.text("data.description") != "new" ||
			a.text("data.url") != x.URL || len(a.at("data.events").([]any)) != 2 {
			t.Errorf("%s", a.raw)
		}
		for field, body := range map[string]m{
			"url": {"url": "ftp://example.org"}, "events": {"events": []string{"patient.lost"}}, "topics": {"topics": []string{"lost"}}, "description": {"description": strings.Repeat("x", 501)},
		} {
			if a := w.want(400, "admin", "PATCH", root+"/"+id, body); !strings.Contains(string(a.raw), `"`+field+`"`) {
				t.Errorf("%s is not named: %s", field, a.raw)
			}
		}
		for _, bad := range []m{{}, {"url": x.URL}, {"url": x.URL, "events": []string{}}, {"url": x.URL, "events": []string{"pat*"}}, {"url": "https://user:pw@example.org", "events": []string{"*"}},
			{"url": "https://example.org/#x", "events": []string{"*"}}, {"url": "https://", "events": []string{"*"}}, {"url": "https://10.0.0.1/", "events": []string{"*"}},
			{"url": "http://8.8.8.8/", "events": []string{"*"}}, {"url": "https://169.254.169.254/", "events": []string{"*"}}, {"url": "https://[::ffff:10.0.0.1]/", "events": []string{"*"}}} {
			w.want(400, "admin", "POST", root, bad)
		}
		w.want(200, "admin", "DELETE", root+"/"+id, nil)
		w.want(404, "admin", "GET", root+"/"+id, nil)
		w.want(404, "admin", "DELETE", root+"/"+id, nil)
	})
}

// Who operates the system looks after webhooks, and gets no event by them.
func TestOperatorsLookAfterWebhooksAndSeeNoEvents(t *testing.T) {
	each(t, nil, func(t *testing.T, w *world) {
		x := newReceiver(t, false)
		hook, _ := w.hook(x.URL, "*")
		w.tell(1, created, "Patient/12")
		delivery := w.last(hook, "it is delivered", status("delivered")).text("data.deliveries.0.id")
		path := root + "/" + hook
		for _, who := range []string{"super_admin", "system_admin"} {
			w.want(200, who, "GET", path, nil)
			if a := w.want(200, who, "GET", path+"/deliveries/"+delivery, nil); a.at("data.event") != nil || a.text("data.status") != "delivered" {
				t.Errorf("%s", a.raw)
			}
			for _, body := range []m{{"url": "https://elsewhere.example/"}, {"events": []string{"patient.*"}}, {"topics": []string{"patient-events"}}} {
				w.want(403, who, "PATCH", path, body)
				w.want(403, who, "PUT", path, body)
			}
			w.want(200, who, "PATCH", path, m{"description": "looked after", "enabled": true})
			w.want(200, who, "POST", path+"/disable", nil)
			w.want(200, who, "POST", path+"/enable", nil)
		}
		if a := w.want(200, "admin", "GET", path+"/deliveries/"+delivery, nil); a.text("data.event.patient") != "Patient/12" {
			t.Errorf("%s", a.raw)
		}
		if a := w.want(200, "admin", "GET", path, nil); a.text("data.url") != x.URL {
			t.Errorf("%s", a.raw)
		}
	})
}

func TestASecretIsReplacedWithoutAGap(t *testing.T) {
	each(t, nil, func(t *testing.T, w *world) {
		x := newReceiver(t, false)
		id, old := w.hook(x.URL, "*")
		a := w.want(200, "admin", "POST", root+"/"+id+"/rotate-secret", m{"overlapHours": 2})
		secret := a.text("data.secret")
		if secret == old || !strings.HasPrefix(secret, "whsec_") || a.text("data.oldSecretUntil") == "" {
			t.Fatalf("%s", a.raw)
		}
		check := func(n int, what string, wantOld, wantNew bool) {
			t.Helper()
			w.tell(1, created, "Patient/1")
			w.until("it is sent", func() bool { return len(x.requests()) == n })
			g := x.requests()[n-1]
			if accepts(t, w, g, old) != wantOld || accepts(t, w, g, secret) != wantNew {
				t.Errorf("%s: %s", what, g.header.Get(web.WebhookSignature))
			}
		}
		check(1, "in the overlap", true, true)
		w.idle()
		w.clock.add(2*time.Hour + time.Second)
		check(2, "after it", false, true)
		if a := w.want(200, "admin", "GET", root+"/"+id, nil); a.text("data.oldSecretUntil") != "" {
			t.Errorf("%s", a.raw)
		}
		old = secret
		secret = w.want(200, "admin", "POST", root+"/"+id+"/rotate-secret", m{"overlapHours": 0}).text("data.secret")
		check(3, "without overlap", false, true)
		w.want(400, "admin", "POST", root+"/"+id+"/rotate-secret", m{"overlapHours": 169})
	})
}

func TestAReceiverIsTriedForThreeDaysAndThenDisabled(t *testing.T) {
	each(t, nil, func(t *testing.T, w *world) {
		x := newReceiver(t, false)
		x.answer(500)
		id, _ := w.hook(x.URL, "*")
		w.tell(1, created, "Patient/1")
		begun := w.clock.now()
		var a *answer
		pauses := []time.Duration{}
		for tries := 1; ; tries++ {
			a = w.last(id, fmt.Sprint("try ", tries), func(a *answer) bool {
				return a.at("data.deliveries.0.attempts") == float64(tries) && (a.text("data.deliveries.0.nextAttemptAt") > w.clock.now().Format("2006-01-02T15:04:05.000Z") || a.text("data.deliveries.0.status") == "failed")
			})
			if a.text("data.deliveries.0.reason") != "the receiver answered 500" || a.at("data.deliveries.0.statusCode") != 500.0 {
				t.Fatalf("%s", a.raw)
			}
			if a.text("data.deliveries.0.status") == "failed" {
				break
			}
			next, err := time.Parse(time.RFC3339, a.text("data.deliveries.0.nextAttemptAt"))
			if err != nil || tries > 60 {
				t.Fatalf("%s", a.raw)
			}
			pause := next.Sub(w.clock.now())
			pauses = append(pauses, pause)
			w.clock.add(pause + time.Millisecond)
		}
		took := w.clock.now().Sub(begun)
		if took < 71*time.Hour || took > 73*time.Hour || len(pauses) < 19 {
			t.Errorf("%d attempts over %v", len(pauses)+1, took)
		}
		for i := 1; i < len(pauses)-1; i++ { // it doubles, give or take a quarter, up to six hours
			if pauses[i] < pauses[i-1] && pauses[i] < 4*time.Hour || pauses[i] > 8*time.Hour {
				t.Errorf("pauses: %v", pauses)
				break
			}
		}
		h := w.want(200, "admin", "GET", root+"/"+id, nil)
		if h.at("data.enabled") != false || !strings.Contains(h.text("data.disabledReason"), "failed over three days") {
			t.Errorf("%s", h.raw)
		}
		w.mu.Lock()
		if len(w.disabled) != 1 || w.disabled[0].Webhook != id || w.disabled[0].User != 7 || w.disabled[0].Tenant != 1 {
			t.Errorf("told: %+v", w.disabled)
		}
		w.mu.Unlock()
		delivery := a.text("data.deliveries.0.id")
		w.want(409, "admin", "POST", root+"/"+id+"/deliveries/"+delivery+"/redeliver", nil)
		before := len(x.requests())
		w.tell(1, created, "Patient/2") // a disabled webhook is told nothing
		x.answer(200)
		if h := w.want(200, "admin", "POST", root+"/"+id+"/enable", nil); h.at("data.enabled") != true || h.at("data.consecutiveFailures") != 0.0 {
			t.Errorf("%s", h.raw)
		}
		again := w.want(202, "admin", "POST", root+"/"+id+"/deliveries/"+delivery+"/redeliver", nil)
		a = w.last(id, "it is delivered", status("delivered"))
		all := x.requests()
		if a.text("data.deliveries.0.id") != again.text("data.id") || len(all) != before+1 || !bytes.Equal(all[before].body, all[0].body) || all[before].header.Get(web.WebhookID) != all[0].header.Get(web.WebhookID) {
			t.Errorf("%d requests, %s", len(all)-before, a.raw)
		}
	})
}

func TestAReceiverThatIsGoneIsDisabledAtOnce(t *testing.T) {
	each(t, nil, func(t *testing.T, w *world) {
		x := newReceiver(t, false)
		x.answer(410)
		id, _ := w.hook(x.URL, "*")
		w.tell(1, created, "Patient/1")
		w.last(id, "it is given up", status("failed"))
		if h := w.want(200, "admin", "GET", root+"/"+id, nil); h.at("data.enabled") != false || !strings.Contains(h.text("data.disabledReason"), "410") || len(x.requests()) != 1 {
			t.Errorf("%s", h.raw)
		}
	})
}

func TestRedirectsAreNotFollowedAndPausesAreKept(t *testing.T) {
	each(t, nil, func(t *testing.T, w *world) {
		x, inside := newReceiver(t, false), newReceiver(t, false)
		x.answer(307, "Location", inside.URL)
		id, _ := w.hook(x.URL, "*")
		w.tell(1, created, "Patient/1")
		a := w.last(id, "it failed", func(a *answer) bool { return a.text("data.deliveries.0.nextAttemptAt") != "" })
		if a.text("data.deliveries.0.reason") != "the receiver answered 307: redirects are not followed" || len(inside.requests()) != 0 {
			t.Errorf("%s", a.raw)
		}
		x.answer(503, "Retry-After", "7200")
		w.clock.add(time.Minute)
		a = w.last(id, "it failed again", func(a *answer) bool {
			return a.at("data.deliveries.0.attempts") == 2.0 && a.text("data.deliveries.0.reason") == "the receiver answered 503"
		})
		w.until("the pause is noted", func() bool {
			a = w.do("admin", "GET", root+"/"+id+"/deliveries", nil)
			next, err := time.Parse(time.RFC3339, a.text("data.deliveries.0.nextAttemptAt"))
			return err == nil && next.Sub(w.clock.now()) > 119*time.Minute
		})
		// Meanwhile other events wait, too.
		w.tell(1, updated, "Patient/1")
		w.idle()
		before := len(x.requests())
		w.clock.add(time.Hour)
		x.answer(204)
		w.clock.add(time.Hour + time.Minute)
		w.until("both are delivered", func() bool {
			return w.do("admin", "GET", root+"/"+id+"/deliveries?status=delivered", nil).at("pagination.total") == 2.0
		})
		if len(x.requests()) != before+2 {
			t.Errorf("%d requests", len(x.requests())-before)
		}
	})
}

func TestAPingTellsWhatCameBack(t *testing.T) {
	each(t, nil, func(t *testing.T, w *world) {
		x := newReceiver(t, false)
		id, secret := w.hook(x.URL, "*")
		if a := w.want(200, "admin", "POST", root+"/"+id+"/ping", nil); a.at("data.delivered") != true || a.at("data.statusCode") != 204.0 {
			t.Errorf("%s", a.raw)
		}
		if g := x.requests()[0]; !bytes.Contains(g.body, []byte("nilecare.webhook.ping.v1")) || !accepts(t, w, g, secret) {
			t.Errorf("%s", g.body)
		}
		x.answer(404)
		if a := w.want(200, "admin", "POST", root+"/"+id+"/ping", nil); a.at("data.delivered") != false || a.text("data.reason") != "the receiver answered 404" {
			t.Errorf("%s", a.raw)
		}
		x.Close()
		if a := w.want(200, "admin", "POST", root+"/"+id+"/ping", nil); a.text("data.reason") != "the receiver cannot be reached" {
			t.Errorf("%s", a.raw)
		}
		if a := w.want(200, "admin", "GET", root+"/"+id, nil); a.at("data.consecutiveFailures") != 0.0 {
			t.Errorf("a ping counts: %s", a.raw)
		}
	})
}

func TestWhatIsDeletedIsNotToldAndNothingStandsInClear(t *testing.T) {
	each(t, nil, func(t *testing.T, w *world) {
		x := newReceiver(t, false)
		x.answer(500)
		id, secret := w.hook(x.URL+"/token-in-the-path", "*")
		kept, _ := w.hook(x.URL, "bed.assigned")
		e := w.tell(1, created, "Patient/1")
		w.tell(1, assigned, "Patient/2")
		w.last(kept, "it is tried", func(a *answer) bool { return a.at("data.deliveries.0.attempts") == 1.0 })
		var all bytes.Buffer
		if err := w.store.Ledger().Read(context.Background(), 1, func(q sqldb.Querier) error {
			return sqldb.Each(context.Background(), q, func(rows sqldb.Rows) error {
				var b []byte
				err := rows.Scan(&b)
				all.Write(b)
				return err
			}, "SELECT content FROM webhook_subscription UNION ALL SELECT body FROM webhook_delivery UNION ALL SELECT data FROM job_task")
		}); err != nil {
			t.Fatal(err)
		}
		for _, word := range []string{secret, "token-in-the-path", "127.0.0.1", e.Key()} {
			if bytes.Contains(all.Bytes(), []byte(word)) {
				t.Errorf("%s stands in clear", word)
			}
		}
		if err := webhook.Forget(context.Background(), w.store.Ledger(), 1, "Patient/2"); err != nil {
			t.Fatal(err)
		}
		w.want(200, "admin", "DELETE", root+"/"+id, nil)
		if a := w.want(200, "admin", "GET", root+"/"+kept+"/deliveries", nil); a.at("pagination.total") != 0.0 {
			t.Errorf("%s", a.raw)
		}
		w.idle()
		before := len(x.requests())
		w.clock.add(time.Hour)
		w.until("the jobs found nothing to do", func() bool { return w.jobsThat("state = 'waiting'") == 0 })
		if len(x.requests()) != before {
			t.Error("what was deleted was told")
		}
	})
}

func TestOldDeliveriesGo(t *testing.T) {
	each(t, nil, func(t *testing.T, w *world) {
		x := newReceiver(t, false)
		id, _ := w.hook(x.URL, "*")
		w.tell(1, created, "Patient/1")
		w.last(id, "it is delivered", status("delivered"))
		w.clock.add(29 * 24 * time.Hour)
		for _, want := range []float64{1, 0} {
			if err := w.s.Sweep(context.Background()); err != nil {
				t.Fatal(err)
			}
			if a := w.want(200, "admin", "GET", root+"/"+id+"/deliveries", nil); a.at("pagination.total") != want {
				t.Errorf("%s, want %v", a.raw, want)
			}
			w.clock.add(2 * 24 * time.Hour)
		}
	})
}

func TestThereAreNotTooManyWebhooks(t *testing.T) {
	each(t, nil, func(t *testing.T, w *world) {
		for range 50 {
			w.hook("https://example.org/", "*")
		}
		w.want(409, "admin", "POST", root, m{"url": "https://example.org/", "events": []string{"*"}})
	})
}

func TestATLSReceiverMustBeVouchedFor(t *testing.T) {
	x := newReceiver(t, true)
	each(t, nil, func(t *testing.T, w *world) {
		id, _ := w.hook(x.URL, "*")
		if a := w.want(200, "admin", "POST", root+"/"+id+"/ping", nil); a.text("data.reason") != "the receiver's certificate is not good" {
			t.Errorf("%s", a.raw)
		}
	})
	each(t, func(o *webhook.Options) { o.Roots = x.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs }, func(t *testing.T, w *world) {
		id, _ := w.hook(x.URL, "*")
		if a := w.want(200, "admin", "POST", root+"/"+id+"/ping", nil); a.at("data.delivered") != true {
			t.Errorf("%s", a.raw)
		}
	})
}
