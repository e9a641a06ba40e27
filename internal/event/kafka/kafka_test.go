package kafka_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/nilecare/nilecare/internal/event"
	"github.com/nilecare/nilecare/internal/event/kafka"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/storetest"
)

// These tests speak Kafka's protocol over loopback with kfake, the broker that franz-go's own tests use: it keeps what is produced, and checks the producer's numbering.

type data struct {
	Family string `json:"family"`
}

func source() event.Source {
	return event.Source{
		Kinds: []event.Kind{{Name: "patient.created", Topic: event.PatientEvents, Version: 1, Summary: "x", Data: data{}}, {Name: "patient.updated", Topic: event.PatientEvents, Version: 1, Summary: "x", Data: data{}},
			{Name: "appointment.created", Topic: event.AppointmentEvents, Version: 1, Summary: "x", Data: data{}}},
		Types: []string{"Patient", "Appointment"},
		Tell: func(c event.Change) []event.Fact {
			switch {
			case c.Type == "Appointment":
				return []event.Fact{{Kind: "appointment.created", Data: data{}}}
			case c.Old == nil:
				return []event.Fact{{Kind: "patient.created", Patient: "Patient/" + c.ID, Data: data{c.New.Get("name").First().Str("family")}}}
			}
			return []event.Fact{{Kind: "patient.updated", Patient: "Patient/" + c.ID, Data: data{c.New.Get("name").First().Str("family")}}}
		},
	}
}

func cluster(t *testing.T, opts ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(3), kfake.SeedTopics(3, "test.patient-events", "test.appointment-events")}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func producer(t *testing.T, o kafka.Options) *kafka.Producer {
	t.Helper()
	o.Prefix, o.Patience = "test.", time.Second
	p, err := kafka.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// consume reads n records of both topics.
func consume(t *testing.T, c *kfake.Cluster, n int, opts ...kgo.Opt) (out []*kgo.Record) {
	t.Helper()
	client, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(c.ListenAddrs()...), kgo.ConsumeTopics("test.patient-events", "test.appointment-events"),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart())}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for len(out) < n {
		f := client.PollFetches(ctx)
		if err := f.Err(); err != nil {
			t.Fatalf("%d of %d records: %v", len(out), n, err)
		}
		out = append(out, f.Records()...)
	}
	return out
}

func write(t *testing.T, s *record.Store, typ, id, format string, args ...any) {
	t.Helper()
	r, err := fhir.ParseResource(fmt.Appendf(nil, format, args...))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Write(context.Background(), []record.Change{{Op: record.Update, Type: typ, ID: id, Resource: r}}); err != nil {
		t.Fatal(err)
	}
}

func patient(t *testing.T, s *record.Store, id, family string) {
	t.Helper()
	write(t, s, "Patient", id, `{"resourceType":"Patient","id":%q,"name":[{"family":%q}]}`, id, family)
}

// run has a hub hand on to the producer.
func run(t *testing.T, s *record.Store, p *kafka.Producer) *event.Hub {
	t.Helper()
	if err := s.Ledger().Migrate(context.Background(), event.Module, event.Migrations()); err != nil {
		t.Fatal(err)
	}
	h, err := event.New(context.Background(), event.Options{Store: s, Sources: []event.Source{source()}, Retry: []time.Duration{time.Millisecond, 5 * time.Millisecond}, Instance: "https://care.example"})
	if err != nil {
		t.Fatal(err)
	}
	h.ReadBatch(kafka.Reader, event.FromBeginning, p.Handle)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); h.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return h
}

func TestEventsReachTheirTopicsInOrderAsCloudEvents(t *testing.T) {
	storetest.Each(t, record.Options{}, func(t *testing.T, s *record.Store) {
		c := cluster(t)
		const patients, steps = 8, 20
		for i := range steps {
			for p := range patients {
				patient(t, s, fmt.Sprint("p", p), fmt.Sprint("F", i))
			}
		}
		write(t, s, "Appointment", "a1", `{"resourceType":"Appointment","id":"a1","status":"proposed","participant":[{"actor":{"reference":"Patient/p1"},"status":"accepted"}]}`)
		run(t, s, producer(t, kafka.Options{Brokers: c.ListenAddrs()}))
		next := map[string]int{}
		seen := map[string]bool{}
		for _, r := range consume(t, c, patients*steps+1) {
			var e event.CloudEvent
			if err := json.Unmarshal(r.Value, &e); err != nil {
				t.Fatal(err)
			}
			if e.Subject != string(r.Key) || "test."+e.Topic != r.Topic || e.Source != "https://care.example" || len(r.Headers) != 1 || r.Headers[0].Key != "content-type" ||
				string(r.Headers[0].Value) != event.ContentType || seen[e.ID] || e.DataSchema == "" {
				t.Errorf("%+v of %s", e, r.Topic)
			}
			seen[e.ID] = true
			if e.Topic == event.AppointmentEvents {
				continue
			}
			var d data
			if err := json.Unmarshal(e.Data, &d); err != nil || d.Family != fmt.Sprint("F", next[e.Subject]) {
				t.Errorf("%s: %s comes at step %d", e.Subject, d.Family, next[e.Subject])
			}
			next[e.Subject]++
		}
		if len(seen) != patients*steps+1 {
			t.Errorf("%d events", len(seen))
		}
	})
}

// answerWith is an answer to a produce request that takes nothing.
func answerWith(r kmsg.Request, e *kerr.Error) kmsg.Response {
	p := r.(*kmsg.ProduceRequest)
	answer := p.ResponseKind().(*kmsg.ProduceResponse)
	for _, topic := range p.Topics {
		st := kmsg.NewProduceResponseTopic()
		st.Topic, st.TopicID = topic.Topic, topic.TopicID
		for _, part := range topic.Partitions {
			sp := kmsg.NewProduceResponseTopicPartition()
			sp.Partition, sp.ErrorCode = part.Partition, e.Code
			st.Partitions = append(st.Partitions, sp)
		}
		answer.Topics = append(answer.Topics, st)
	}
	return answer
}

func TestBrokersThatAreAwayHoldUpAndLoseNothing(t *testing.T) {
	s := storetest.SQLite(t, record.Options{})
	c := cluster(t)
	var well atomic.Bool
	c.ControlKey(int16(kmsg.Produce), func(r kmsg.Request) (kmsg.Response, error, bool) { //nolint:staticcheck // the order is kfake's
		c.KeepControl()
		if well.Load() {
			return nil, nil, false
		}
		return answerWith(r, kerr.NotEnoughReplicas), nil, true
	})
	for i := range 20 {
		patient(t, s, fmt.Sprint("p", i), "One")
	}
	h := run(t, s, producer(t, kafka.Options{Brokers: c.ListenAddrs()}))
	until(t, func() bool {
		all, _, err := h.Readers(context.Background())
		return err == nil && len(all) == 1 && all[0].Tries > 1 && all[0].Behind == 20 && strings.Contains(all[0].Problem, "Kafka")
	})
	well.Store(true)
	got := map[string]bool{}
	for _, r := range consume(t, c, 20) {
		got[string(r.Key)] = true
	}
	if len(got) != 20 {
		t.Errorf("%d subjects", len(got))
	}
	if letters, err := h.Letters(context.Background(), event.LetterQuery{Limit: 10}); err != nil || len(letters) > 0 {
		t.Errorf("%v %v", letters, err)
	}
}

func TestWhatTheBrokersNeverTakeIsADeadLetterAndTheRestGoesOn(t *testing.T) {
	s := storetest.SQLite(t, record.Options{})
	c := cluster(t, kfake.BrokerConfigs(map[string]string{"message.max.bytes": "4000"}))
	patient(t, s, "p1", "One")
	patient(t, s, "p2", strings.Repeat("long", 30000))
	patient(t, s, "p3", "Three")
	var tooLarge atomic.Bool
	c.ControlKey(int16(kmsg.Produce), func(r kmsg.Request) (kmsg.Response, error, bool) { //nolint:staticcheck // the order is kfake's
		c.KeepControl()
		p := r.(*kmsg.ProduceRequest)
		size := 0
		for _, topic := range p.Topics {
			for _, part := range topic.Partitions {
				size = max(size, len(part.Records))
			}
		}
		if size < 2000 { // repeated text is small once it is compressed
			return nil, nil, false
		}
		tooLarge.Store(true)
		return answerWith(r, kerr.MessageTooLarge), nil, true
	})
	h := run(t, s, producer(t, kafka.Options{Brokers: c.ListenAddrs()}))
	until(t, func() bool {
		letters, err := h.Letters(context.Background(), event.LetterQuery{Limit: 10})
		return err == nil && len(letters) == 1 && letters[0].Subject == "Patient/p2" && strings.Contains(letters[0].Problem, "refused")
	})
	keys := map[string]bool{}
	for _, r := range consume(t, c, 2) {
		keys[string(r.Key)] = true
	}
	if !keys["Patient/p1"] || !keys["Patient/p3"] || keys["Patient/p2"] {
		t.Errorf("handed on: %v (too large seen: %v)", keys, tooLarge.Load())
	}
}

func TestNobodyListeningIsUnavailable(t *testing.T) {
	p := producer(t, kafka.Options{Brokers: []string{"127.0.0.1:1"}})
	e := event.Event{ID: 1, Tenant: 1, Kind: event.Kind{Name: "patient.created", Topic: event.PatientEvents, Version: 1}, Subject: "Patient/1", Time: time.Now(), Data: json.RawMessage(`{}`)}
	if err := p.Handle(context.Background(), []event.Event{e}); !fault.Is(err, fault.Unavailable) {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := p.Handle(ctx, []event.Event{e}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func until(t *testing.T, f func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if f() {
			return
		}
	}
	t.Fatal("in a minute it did not come to this")
}

// TestTLSAndSignIn hands on over TLS with each way to sign in, and is not let in with a wrong password.
func TestTLSAndSignIn(t *testing.T) {
	certificate, ca := selfSigned(t)
	const password = "a test value, not a secret"
	for sasl, method := range map[string]string{"plain": "PLAIN", "scram-sha-256": "SCRAM-SHA-256", "scram-sha-512": "SCRAM-SHA-512"} {
		t.Run(sasl, func(t *testing.T) {
			c := cluster(t, kfake.TLS(&tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}), kfake.EnableSASL(), kfake.Superuser(method, "nilecare", password))
			e := event.Event{ID: 1, Tenant: 1, Kind: event.Kind{Name: "patient.created", Topic: event.PatientEvents, Version: 1}, Subject: "Patient/1", Time: time.Now(), Data: json.RawMessage(`{}`)}
			o := kafka.Options{Brokers: c.ListenAddrs(), TLS: true, CA: ca, SASL: sasl, User: "nilecare", Password: password}
			if err := producer(t, o).Handle(context.Background(), []event.Event{e}); err != nil {
				t.Error(err)
			}
			o.Password = "another"
			if err := producer(t, o).Handle(context.Background(), []event.Event{e}); !fault.Is(err, fault.Unavailable) || strings.Contains(err.Error(), "another") {
				t.Errorf("with a wrong password: %v", err)
			}
			o.Password, o.CA = password, ""
			if err := producer(t, o).Handle(context.Background(), []event.Event{e}); !fault.Is(err, fault.Unavailable) {
				t.Errorf("a broker whose certificate nobody vouches for: %v", err)
			}
		})
	}
}

// selfSigned makes a certificate for 127.0.0.1 and a file of it as an authority.
func selfSigned(t *testing.T) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "broker"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, path
}

func TestOptionsThatDoNotFitAreRefusedByName(t *testing.T) {
	brokers := []string{"127.0.0.1:9092"}
	for want, o := range map[string]kafka.Options{
		"no broker":    {},
		"kafka-ca":     {Brokers: brokers, CA: "x"},
		"kafka-user":   {Brokers: brokers, User: "x"},
		"needs kafka-": {Brokers: brokers, SASL: "plain", User: "x", Password: "y"},
		"KAFKA_PASS":   {Brokers: brokers, TLS: true, SASL: "plain", User: "x"},
		"is not plain": {Brokers: brokers, TLS: true, SASL: "gssapi", User: "x", Password: "y"},
		"kafka-ca: ":   {Brokers: brokers, TLS: true, CA: "/nowhere"},
	} {
		if _, err := kafka.New(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", o, err, want)
		}
	}
}
