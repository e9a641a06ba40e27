package notification_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/textproto"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/module/notification"
	"github.com/nilecare/nilecare/internal/sqldb"
)

const root = "/api/v1/notifications"

func TestUsersReadTheirOwnNotificationsAndMarkThem(t *testing.T) {
	each(t, true, func(t *testing.T, w *world) {
		for i := range 3 {
			w.want(201, admin, "POST", root+"/send", m{"userId": fmt.Sprint(doctor), "channel": "websocket", "type": "task", "title": fmt.Sprint("Task ", i), "message": "Please look",
				"priority": []string{"low", "high", "normal"}[i], "link": "Task/7"})
		}
		other := w.want(201, admin, "POST", root, m{"user_id": fmt.Sprint(admin), "channel": "websocket", "type": "task", "body": "mine"}).text("data.id")
		a := w.want(200, doctor, "GET", root+"?userId="+fmt.Sprint(doctor)+"&read=false", nil)
		if a.at("data.unreadCount") != 3.0 || len(a.at("data.notifications").([]any)) != 3 || a.at("pagination.total") != 3.0 {
			t.Fatalf("%s", a.raw)
		}
		for path, want := range map[string]any{"title": "Task 2", "message": "Please look", "type": "task", "priority": "normal", "read": false, "status": "sent", "link": "Task/7",
			"userId": fmt.Sprint(doctor), "user_id": fmt.Sprint(doctor), "body": "Please look", "subject": "Task 2"} {
			if got := a.at("data.notifications.0." + path); got != want {
				t.Errorf("%s: %v, want %v", path, got, want)
			}
		}
		if _, err := time.Parse(time.RFC3339, a.text("data.notifications.0.createdAt")); err != nil {
			t.Error(err)
		}
		id := a.text("data.notifications.0.id")
		if r := w.want(200, doctor, "PUT", root+"/"+id+"/read", nil); r.at("data.read") != true || r.text("data.notification.status") != "read" || r.text("data.readAt") == "" {
			t.Errorf("%s", r.raw)
		}
		w.want(200, doctor, "PATCH", root+"/"+id+"/read", nil) // again is nothing new
		if r := w.want(200, doctor, "GET", root+"?read=true&status=read", nil); r.at("data.unreadCount") != 2.0 || len(r.at("data.notifications").([]any)) != 1 {
			t.Errorf("%s", r.raw)
		}
		if r := w.want(200, doctor, "GET", root+"?priority=high", nil); r.text("data.notifications.0.title") != "Task 1" {
			t.Errorf("%s", r.raw)
		}
		if r := w.want(200, doctor, "GET", root+"?limit=2&page=2", nil); r.text("data.notifications.0.title") != "Task 0" {
			t.Errorf("%s", r.raw)
		}
		cursor := w.want(200, doctor, "GET", root+"?limit=2", nil).text("pagination.cursor")
		if r := w.want(200, doctor, "GET", root+"?limit=2&cursor="+cursor, nil); cursor != "" && r.text("data.notifications.0.title") != "Task 0" {
			t.Errorf("%s", r.raw)
		}
		if r := w.want(200, doctor, "GET", root+"/stats", nil); r.at("data.total") != 3.0 || r.at("data.unread") != 2.0 || r.at("data.stats.byPriority.high") != 1.0 {
			t.Errorf("%s", r.raw)
		}
		if r := w.want(200, doctor, "PUT", root+"/read-all", nil); r.at("data.updated") != 2.0 || r.at("data.unreadCount") != 0.0 {
			t.Errorf("%s", r.raw)
		}
		// What is another's is not there.
		w.want(404, doctor, "GET", root+"/"+other, nil)
		w.want(404, doctor, "PUT", root+"/"+other+"/read", nil)
		w.want(404, doctor, "DELETE", root+"/"+other, nil)
		w.want(403, doctor, "GET", root+"?userId="+fmt.Sprint(admin), nil)
		w.want(403, doctor, "GET", root+"?scope=all", nil)
		w.want(401, 0, "GET", root, nil)
		if r := w.want(200, admin, "GET", root+"?userId="+fmt.Sprint(doctor), nil); len(r.at("data.notifications").([]any)) != 3 {
			t.Errorf("%s", r.raw)
		}
		w.want(404, admin, "PUT", root+"/"+id+"/read", nil) // who manages them reads them for nobody else
		if r := w.want(200, admin, "GET", root+"?scope=all", nil); r.at("pagination.total") != 4.0 {
			t.Errorf("%s", r.raw)
		}
		w.want(200, doctor, "DELETE", root+"/"+id, nil)
		w.want(404, doctor, "GET", root+"/"+id, nil)
		w.want(404, doctor, "DELETE", root+"/"+id, nil)
		for _, bad := range []string{"?userid=1", "?read=maybe", "?channel=pigeon", "?status=lost", "?limit=0", "?offset=3", "?cursor=x", "?userId=x"} {
			w.want(400, doctor, "GET", root+bad, nil)
		}
	})
}

func TestWhatIsNoMessageIsRefusedByName(t *testing.T) {
	each(t, true, func(t *testing.T, w *world) {
		w.patient("1", `{"resourceType":"Patient","id":"1"}`)
		good := func(change m) m {
			out := m{"userId": fmt.Sprint(doctor), "channel": "email", "type": "a.b", "title": "T", "message": "M"}
			for k, v := range change {
				out[k] = v
			}
			return out
		}
		for field, body := range map[string]m{
			"channel": good(m{"channel": "push"}), "type": good(m{"type": "No Type"}), "title": good(m{"title": ""}), "message": good(m{"message": " "}), "priority": good(m{"priority": "asap"}),
			"userId": good(m{"userId": "x"}), "template_id": good(m{"template_id": "7"}), "payload": good(m{"payload": []int{1}}), "scheduledAt": good(m{"scheduledAt": "tomorrow"}),
			"link": good(m{"link": "nothing"}), "expiresAt": good(m{"expiresAt": "2020-01-01T00:00:00Z", "scheduledAt": "2026-12-31T00:00:00Z"}),
		} {
			a := w.want(400, admin, "POST", root+"/send", body)
			if !strings.Contains(string(a.raw), `"`+field+`"`) {
				t.Errorf("%s is not named: %s", field, a.raw)
			}
		}
		if a := w.want(400, admin, "POST", root+"/send", good(m{"channel": "push"})); !strings.Contains(string(a.raw), "nobody carries push") {
			t.Errorf("%s", a.raw)
		}
		for _, body := range []m{good(m{"userId": ""}), good(m{"to": "a@example.org"}), good(m{"title": "a\nBcc: b@example.org"}), good(m{"userId": "", "to": "not an address"}),
			good(m{"userId": "", "channel": "sms", "to": "12"}), good(m{"userId": "", "channel": "websocket", "to": "a@example.org"}), good(m{"channel": ""}),
			good(m{"channel": "sms", "message": strings.Repeat("x", 1001)})} {
			w.want(400, admin, "POST", root+"/send", body)
		}
		w.want(422, admin, "POST", root+"/send", good(m{"userId": "999"}))
		w.want(422, admin, "POST", root+"/send", good(m{"userId": "", "patientId": "999"}))
		w.want(403, mother, "POST", root+"/send", good(nil))
		w.want(403, doctor, "POST", root+"/send", good(m{"userId": "", "to": "a@example.org"})) // to whomever one likes
		w.want(400, doctor, "POST", root+"/send", good(m{"type": "security.login"}))            // nobody could switch it off
		w.want(201, doctor, "POST", root+"/send", good(nil))
	})
}

func TestMailAndTextMessagesGoOutAndTheirTextIsForgotten(t *testing.T) {
	each(t, true, func(t *testing.T, w *world) {
		w.patient("1", `{"resourceType":"Patient","id":"1","telecom":[{"system":"phone","value":"0111111111","use":"home"},{"system":"phone","value":"+249 91 234 0000","use":"old"},
			{"system":"phone","value":"091 222 3344","use":"mobile"},{"system":"email","value":"gone@example.org","period":{"end":"2020-01-01"}},{"system":"email","value":"now@example.org"}],
			"communication":[{"language":{"coding":[{"code":"en"}]}},{"language":{"coding":[{"code":"ar"}]},"preferred":true}]}`)
		both := m{"patientId": "1", "type": "appointment.reminder", "title": "Tomorrow", "message": "at eight", "titleAr": "غدا", "messageAr": "الثامنة"}
		send := func(channel string, change m) string {
			body := m{"channel": channel}
			for _, from := range []m{both, change} {
				for k, v := range from {
					body[k] = v
				}
			}
			return w.want(201, admin, "POST", root+"/send", body).text("data.id")
		}
		ids := []string{send("sms", nil), send("email", nil), send("email", m{"patientId": "", "userId": fmt.Sprint(admin)}), send("sms", m{"patientId": "", "to": "00249 91 000 0000"})}
		for _, id := range ids {
			a := w.becomes(admin, id, "sent")
			if a.text("data.message") != "" || a.at("data.textKept") != false || a.text("data.sentAt") == "" || a.at("data.retryCount") != 1.0 {
				t.Errorf("%s", a.raw)
			}
		}
		if got := strings.Join(w.sms.all(), "\n"); !strings.Contains(got, "+249912223344|غدا|الثامنة") || !strings.Contains(got, "+249910000000|Tomorrow|at eight") {
			t.Errorf("text messages: %s", got)
		}
		if got := strings.Join(w.mail.all(), "\n"); !strings.Contains(got, "now@example.org|غدا|الثامنة") || !strings.Contains(got, "admin@example.org|Tomorrow|at eight") {
			t.Errorf("mail: %s", got)
		}
	})
}

func TestWhatCannotBeSentFailsWithItsReason(t *testing.T) {
	each(t, true, func(t *testing.T, w *world) {
		w.patient("1", `{"resourceType":"Patient","id":"1"}`)
		w.patient("3", `{"resourceType":"Patient","id":"3","deceasedBoolean":true,"telecom":[{"system":"email","value":"late@example.org"}]}`)
		for reason, body := range map[string]m{
			"no address for this channel stands on the patient's record": {"patientId": "1", "channel": "sms"},
			"the patient has died":                              {"patientId": "3", "channel": "email"},
			"the user is not active":                            {"userId": fmt.Sprint(nurse), "channel": "email"},
			"the patient has no account":                        {"patientId": "1", "channel": "websocket"},
			"it was too old to be of use when it could be sent": {"userId": fmt.Sprint(doctor), "channel": "email", "expiresAt": w.clock.now().Add(-time.Hour).Format(time.RFC3339)},
		} {
			body["type"], body["title"], body["message"] = "a", "T", "secret text"
			id := w.want(201, admin, "POST", root+"/send", body).text("data.id")
			if a := w.becomes(admin, id, "failed"); a.text("data.reason") != reason {
				t.Errorf("%q, want %q", a.text("data.reason"), reason)
			}
		}
	})
}

func TestACarrierIsTriedForThreeDays(t *testing.T) {
	each(t, true, func(t *testing.T, w *world) {
		w.mail.fail(&textproto.Error{Code: 451, Msg: "doctor@example.org: later"})
		id := w.want(201, admin, "POST", root+"/send", m{"userId": fmt.Sprint(doctor), "channel": "email", "type": "a", "title": "T", "message": "M"}).text("data.id")
		begun := w.clock.now()
		var a *answer
		for tries := 1; ; tries++ {
			w.until("the try is noted", func() bool {
				a = w.do(admin, "GET", root+"/"+id, nil)
				return a.at("data.retryCount") == float64(tries)
			})
			if reason := a.text("data.reason"); reason != "the mail server refused it: 451" {
				t.Fatalf("reason: %q", reason)
			}
			if a.text("data.status") == "failed" {
				break
			}
			next, err := time.Parse(time.RFC3339, a.text("data.nextAttemptAt"))
			if err != nil || a.text("data.status") != "pending" || tries > 100 {
				t.Fatalf("%s", a.raw)
			}
			w.clock.add(next.Sub(w.clock.now()) + time.Millisecond)
		}
		if took := w.clock.now().Sub(begun); took < 71*time.Hour || took > 73*time.Hour || w.mail.tried() < 15 {
			t.Errorf("given up after %v and %d tries", took, w.mail.tried())
		}
		// What the server says it will never take is given up at once.
		for _, err := range []error{&textproto.Error{Code: 550, Msg: "no doctor@example.org"}, fault.At(fault.Invalid, "to", "must be an e-mail address")} {
			w.mail.fail(err)
			before := w.mail.tried()
			id = w.want(201, admin, "POST", root+"/send", m{"userId": fmt.Sprint(doctor), "channel": "email", "type": "a", "title": "T", "message": "M"}).text("data.id")
			if a := w.becomes(admin, id, "failed"); strings.Contains(string(a.raw), "doctor@") || w.mail.tried() != before+1 {
				t.Errorf("%s", a.raw)
			}
		}
		w.mail.fail(errors.New("dial doctor@example.org"))
		id = w.want(201, admin, "POST", root+"/send", m{"userId": fmt.Sprint(doctor), "channel": "email", "type": "a", "title": "T", "message": "M"}).text("data.id")
		w.until("it failed once", func() bool { return w.do(admin, "GET", root+"/"+id, nil).at("data.retryCount") == 1.0 })
		w.mail.fail(nil)
		w.clock.add(2 * time.Minute)
		if a := w.becomes(admin, id, "sent"); a.text("data.reason") != "" {
			t.Errorf("%s", a.raw)
		}
	})
}

func TestWithoutACarrierMessagesStayPendingAndSaySo(t *testing.T) {
	each(t, false, func(t *testing.T, w *world) {
		id := w.want(201, admin, "POST", root+"/send", m{"userId": fmt.Sprint(doctor), "channel": "sms", "type": "a", "message": "M"}).text("data.id")
		a := w.want(200, admin, "GET", root+"?scope=all&status=pending", nil)
		if a.text("data.notifications.0.id") != id || a.text("data.notifications.0.reason") != "no carrier is configured" {
			t.Fatalf("%s", a.raw)
		}
		_, jobs := w.service(true) // a process that has one
		w.run(jobs.Run)
		w.becomes(admin, id, "sent")
		if got := w.sms.all(); len(got) != 1 || !strings.HasPrefix(got[0], "+249912345678|") {
			t.Errorf("%v", got)
		}
	})
}

func TestAMessageIsPutOnceAKeyWithItsFact(t *testing.T) {
	each(t, true, func(t *testing.T, w *world) {
		ctx := access.With(context.Background(), access.System(1))
		msg := notification.Message{Key: "reminder/1", Channel: notification.Email, User: doctor, Type: "a", Title: "T", Body: "M"}
		p, err := w.s.Prepare(ctx, 1, msg)
		if err != nil {
			t.Fatal(err)
		}
		undone := errors.New("the fact does not hold")
		err = w.store.Ledger().Update(ctx, 1, func(tx sqldb.Tx) error { return errors.Join(w.s.Put(ctx, tx, 1, p), undone) })
		if !errors.Is(err, undone) {
			t.Fatal(err)
		}
		for range 3 {
			w.put(msg)
		}
		if err := w.store.Ledger().Update(ctx, 1, func(tx sqldb.Tx) error { return w.s.Put(ctx, tx, 2, p) }); err == nil {
			t.Error("a message was put for another tenant than it was sealed for")
		}
		w.until("it was sent", func() bool { return len(w.mail.all()) > 0 })
		// One that was put later, and would have been sent before, shows that there is no second one.
		w.put(notification.Message{Channel: notification.Email, User: admin, Type: "a", Title: "T", Body: "last"})
		w.until("the last was sent", func() bool { return len(w.mail.all()) == 2 })
		body := m{"userId": fmt.Sprint(doctor), "channel": "websocket", "type": "a", "message": "M", "key": "k1"}
		first := w.want(201, admin, "POST", root+"/send", body).text("data.id")
		if again := w.want(200, admin, "POST", root+"/send", body).text("data.id"); again != first {
			t.Errorf("%s, then %s", first, again)
		}
		if other := w.want(201, doctor, "POST", root+"/send", body).text("data.id"); other == first {
			t.Error("another sender's key is the same")
		}
	})
}

func TestAMessageOfALaterTimeComesThenOrIsTakenBack(t *testing.T) {
	each(t, true, func(t *testing.T, w *world) {
		later := w.clock.now().Add(time.Hour)
		for _, key := range []string{"stays", "goes"} {
			w.put(notification.Message{Key: key, Channel: notification.WebSocket, User: doctor, Type: "a", Body: key, At: later})
			w.put(notification.Message{Key: key + "/mail", Channel: notification.Email, User: doctor, Type: "a", Title: "T", Body: key, At: later})
		}
		if a := w.want(200, doctor, "GET", root, nil); a.at("data.unreadCount") != 0.0 || len(a.at("data.notifications").([]any)) != 0 {
			t.Errorf("%s", a.raw)
		}
		ctx := access.With(context.Background(), access.System(1))
		if err := w.store.Ledger().Update(ctx, 1, func(tx sqldb.Tx) error {
			return errors.Join(w.s.Drop(ctx, tx, 1, "goes"), w.s.Drop(ctx, tx, 1, "goes/mail"), w.s.Drop(ctx, tx, 1, "nothing"))
		}); err != nil {
			t.Fatal(err)
		}
		w.clock.add(time.Hour + time.Second)
		w.until("it came", func() bool { return w.do(doctor, "GET", root, nil).text("data.notifications.0.message") == "stays" })
		w.until("the mail came", func() bool { return len(w.mail.all()) == 1 })
		if a := w.want(200, doctor, "GET", root, nil); a.at("pagination.total") != 1.0 || w.mail.all()[0] != "doctor@example.org|T|stays" {
			t.Errorf("%s %v", a.raw, w.mail.all())
		}
	})
}

func TestBulkTellsTheOutcomeOfEach(t *testing.T) {
	each(t, true, func(t *testing.T, w *world) {
		one := m{"userId": fmt.Sprint(doctor), "channel": "websocket", "type": "a", "message": "M"}
		a := w.want(207, admin, "POST", root+"/bulk", m{"items": []m{one, {"userId": fmt.Sprint(doctor), "channel": "fax", "type": "a", "message": "M"}, {"userId": "999", "channel": "sms", "type": "a", "message": "M"}, one}})
		if a.at("data.succeeded") != 2.0 || a.at("data.failed") != 2.0 || a.at("data.results.0.status") != 201.0 || a.at("data.results.1.status") != 400.0 ||
			a.at("data.results.2.status") != 422.0 || a.text("data.results.3.data.status") != "sent" {
			t.Errorf("%s", a.raw)
		}
	})
}

func TestPreferencesAreObeyedButForTheSafetyOfTheAccount(t *testing.T) {
	each(t, true, func(t *testing.T, w *world) {
		if a := w.want(200, doctor, "GET", root+"/preferences", nil); a.at("data.preferences.channels.sms") != true {
			t.Errorf("%s", a.raw)
		}
		a := w.want(200, doctor, "PUT", root+"/preferences", m{"channels": m{"email": false}, "types": []m{{"channel": "email", "type": "lab.critical", "enabled": true}, {"channel": "websocket", "type": "chat", "enabled": false}}})
		if a.at("data.preferences.channels.email") != false || a.at("data.preferences.channels.sms") != true || len(a.at("data.preferences.types").([]any)) != 2 {
			t.Errorf("%s", a.raw)
		}
		for _, bad := range []m{{"channels": m{"fax": true}}, {}, {"types": []m{{"channel": "email", "type": "security.login", "enabled": false}}}, {"types": []m{{"channel": "email", "type": "A", "enabled": true}}}} {
			w.want(400, doctor, "PUT", root+"/preferences", bad)
		}
		status := func(channel, typ string) string {
			id := w.want(201, admin, "POST", root+"/send", m{"userId": fmt.Sprint(doctor), "channel": channel, "type": typ, "title": "T", "message": "M"}).text("data.id")
			var s string
			w.until("it is decided", func() bool { s = w.do(admin, "GET", root+"/"+id, nil).text("data.status"); return s != "pending" })
			return s
		}
		for what, want := range map[string]string{"email appointment.reminder": "failed", "email lab.critical": "sent", "email security.login": "sent", "websocket chat": "failed", "websocket task": "sent"} {
			channel, typ, _ := strings.Cut(what, " ")
			if got := status(channel, typ); got != want {
				t.Errorf("%s: %s, want %s", what, got, want)
			}
		}
		// A patient's wishes bind what is sent to the address on the record, too.
		w.patient("2", `{"resourceType":"Patient","id":"2","telecom":[{"system":"email","value":"two@example.org"}]}`)
		w.people.persons["Patient/2"] = mother
		w.want(200, mother, "PUT", root+"/preferences", m{"channels": m{"email": false}})
		id := w.want(201, admin, "POST", root+"/send", m{"patientId": "2", "channel": "email", "type": "a", "title": "T", "message": "M"}).text("data.id")
		w.becomes(admin, id, "failed")
		// And the patient's account is where a message in the program goes.
		w.want(201, admin, "POST", root+"/send", m{"patientId": "2", "channel": "websocket", "type": "a", "title": "T", "message": "for the patient"})
		if a := w.want(200, mother, "GET", root, nil); a.text("data.notifications.0.message") != "for the patient" || a.text("data.notifications.0.patientId") != "2" {
			t.Errorf("%s", a.raw)
		}
	})
}

func TestClientsOfAllProcessesAreTold(t *testing.T) {
	each(t, true, func(t *testing.T, w *world) {
		var mu sync.Mutex
		told := map[string][]notification.Told{}
		other, _ := w.service(false)
		for name, s := range map[string]*notification.Service{"here": w.s, "there": other} {
			s.OnNew(func(tenant int32, user int64, n notification.Told) {
				mu.Lock()
				defer mu.Unlock()
				if tenant != 1 || user != doctor {
					t.Errorf("%s was told of tenant %d, user %d", name, tenant, user)
				}
				told[name] = append(told[name], n)
			})
		}
		w.put(notification.Message{Channel: notification.WebSocket, User: doctor, Type: "a", Body: "before"}) // is not told: nobody was there
		w.clock.add(time.Second)
		w.run(w.s.Run)
		w.run(other.Run)
		count := func(name string) int {
			mu.Lock()
			defer mu.Unlock()
			return len(told[name])
		}
		// Both are looking by the time that they tell of the first.
		w.until("both look", func() bool {
			w.put(notification.Message{Key: "first", Channel: notification.WebSocket, User: doctor, Type: "a", Body: "first"})
			return count("here") > 0 && count("there") > 0
		})
		id := w.want(201, admin, "POST", root+"/send", m{"userId": fmt.Sprint(doctor), "channel": "websocket", "type": "task", "title": "T", "message": "M"}).text("data.id")
		w.want(201, admin, "POST", root+"/send", m{"userId": fmt.Sprint(doctor), "channel": "email", "type": "task", "title": "T", "message": "not in the program"})
		for _, name := range []string{"here", "there"} {
			w.until(name+" is told of the second", func() bool { return count(name) == 2 })
		}
		w.clock.add(time.Second)
		w.want(200, doctor, "PUT", root+"/"+id+"/read", nil)
		for _, name := range []string{"here", "there"} {
			w.until(name+" is told that it was read", func() bool { return count(name) == 3 })
			mu.Lock()
			second, third := told[name][1], told[name][2]
			mu.Unlock()
			if second.Event != notification.ToldNew || second.Notification == nil || second.Notification.ID != id || second.Notification.Title != "T" || second.UnreadCount != 3 {
				t.Errorf("%s: %+v", name, second)
			}
			if third.Event != notification.ToldRead || third.IDs[0] != id || third.UnreadCount != 2 {
				t.Errorf("%s: %+v", name, third)
			}
		}
	})
}

func TestNothingPersonalStandsInClear(t *testing.T) {
	each(t, false, func(t *testing.T, w *world) {
		w.want(201, admin, "POST", root+"/send", m{"to": "somebody@example.org", "channel": "email", "type": "a", "title": "Kamala", "message": "Malaria", "payload": m{"of": "Fatima"}})
		w.want(201, admin, "POST", root+"/send", m{"to": "+249912345678", "channel": "sms", "type": "a", "message": "Malaria"})
		var all bytes.Buffer
		if err := w.store.Ledger().Read(context.Background(), 1, func(q sqldb.Querier) error {
			return sqldb.Each(context.Background(), q, func(rows sqldb.Rows) error {
				var key, reason, author string
				var content []byte
				err := rows.Scan(&key, &reason, &author, &content)
				all.WriteString(key + reason + author)
				all.Write(content)
				return err
			}, "SELECT key, reason, created_by, content FROM notification_message UNION ALL SELECT key, error, created_by, data FROM job_task")
		}); err != nil {
			t.Fatal(err)
		}
		for _, word := range []string{"somebody@", "249912345678", "Kamala", "Malaria", "Fatima"} {
			if bytes.Contains(all.Bytes(), []byte(word)) {
				t.Errorf("%s stands in clear", word)
			}
		}
	})
}

func TestForgettingAPatientTakesWhatWasToldOfThem(t *testing.T) {
	each(t, true, func(t *testing.T, w *world) {
		later := w.clock.now().Add(time.Hour)
		a := w.put(notification.Message{Channel: notification.WebSocket, User: doctor, Type: "a", Body: "of one", About: "Patient/1"})
		b := w.put(notification.Message{Channel: notification.Email, Patient: "Patient/1", Type: "a", Title: "T", Body: "to one", At: later})
		c := w.put(notification.Message{Channel: notification.WebSocket, User: doctor, Type: "a", Body: "of another", About: "Patient/2"})
		if err := notification.Forget(context.Background(), w.store.Ledger(), 1, "Patient/1"); err != nil {
			t.Fatal(err)
		}
		for p, status := range map[*notification.Prepared]int{&a: 404, &b: 404, &c: 200} {
			w.want(status, admin, "GET", root+"/"+strconv.FormatInt(p.ID(), 10), nil)
		}
	})
}

func TestOldMessagesGo(t *testing.T) {
	each(t, true, func(t *testing.T, w *world) {
		old := w.put(notification.Message{Channel: notification.WebSocket, User: doctor, Type: "a", Body: "old"})
		far := w.put(notification.Message{Channel: notification.WebSocket, User: doctor, Type: "a", Body: "in half a year", At: w.clock.now().AddDate(0, 6, 0)})
		w.clock.add(98 * 24 * time.Hour)
		w.run(w.s.Run)
		w.until("the old one is gone", func() bool { return w.do(admin, "GET", root+"/"+strconv.FormatInt(old.ID(), 10), nil).status == 404 })
		w.want(200, admin, "GET", root+"/"+strconv.FormatInt(far.ID(), 10), nil)
	})
}
