// Package kafka hands the events on to Kafka: to the topics that their kinds name, as CloudEvents in structured mode
// (https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md): a record's value is the whole event in JSON, its header
// content-type says so, its key is the event's subject, so that what happens to one resource stays in order.
//
// Each event gets there at least once, acknowledged by all replicas in sync. Within the life of a process the producer's own numbering keeps a record from being
// written twice; after a crash some are written again, with the same id in the CloudEvent, by which consumers tell them.
package kafka

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/nilecare/nilecare/internal/event"
	"github.com/nilecare/nilecare/internal/fault"
)

// Reader is the name of the durable reader that hands events on.
const Reader = "kafka"

// Options says where the brokers are, and how they know who speaks.
type Options struct {
	Brokers  []string // HOST:PORT of some of them
	Prefix   string   // before the names of topics: "clinic." makes clinic.patient-events
	TLS      bool
	CA       string // file of the authorities of the brokers' certificates (PEM); "": the machine's
	SASL     string // "", plain, scram-sha-256, scram-sha-512
	User     string
	Password string
	// Patience is how long a record is tried before the reader is told that the brokers are away; 0: 10 seconds.
	Patience time.Duration
}

// Producer hands events on. It is safe for concurrent use.
type Producer struct {
	opts   []kgo.Opt
	prefix string

	mu     sync.Mutex
	client *kgo.Client // nil: nothing was handed on yet
	closed bool
}

// New returns a producer. It reaches for the brokers with the first event: whether they are there is not what the program's start depends on.
func New(o Options) (*Producer, error) {
	if len(o.Brokers) == 0 {
		return nil, errors.New("kafka: no broker is named")
	}
	if o.Patience <= 0 {
		o.Patience = 10 * time.Second
	}
	opts := []kgo.Opt{
		kgo.SeedBrokers(o.Brokers...), kgo.ClientID("nilecare"), kgo.RequiredAcks(kgo.AllISRAcks()), kgo.ProducerLinger(0),
		kgo.RecordDeliveryTimeout(o.Patience), kgo.AllowAutoTopicCreation(),
		// A partition that failed is tried again after a pause, and once the brokers were asked anew who leads it. Were either longer than the
		// patience, records would time out without a try for ever.
		kgo.MetadataMinAge(o.Patience / 8),
		kgo.RetryBackoffFn(func(tries int) time.Duration { return min(100*time.Millisecond<<min(tries, 10), o.Patience/4) }),
	}
	secure, err := o.secure()
	if err != nil {
		return nil, err
	}
	opts = append(opts, secure...)
	if err := kgo.ValidateOpts(opts...); err != nil {
		return nil, fmt.Errorf("kafka: %w", err)
	}
	return &Producer{opts: opts, prefix: o.Prefix}, nil
}

// reach returns what speaks to the brokers.
func (p *Producer) reach() (*kgo.Client, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var err error
	switch {
	case p.closed:
		return nil, context.Canceled
	case p.client == nil:
		p.client, err = kgo.NewClient(p.opts...)
	}
	return p.client, err
}

// secure is what the options say of TLS and of who speaks.
func (o *Options) secure() (opts []kgo.Opt, err error) {
	if o.TLS {
		c := &tls.Config{MinVersion: tls.VersionTLS12}
		if o.CA != "" {
			text, err := os.ReadFile(o.CA)
			if err != nil {
				return nil, fmt.Errorf("kafka-ca: %w", err)
			}
			c.RootCAs = x509.NewCertPool()
			if !c.RootCAs.AppendCertsFromPEM(text) {
				return nil, fmt.Errorf("kafka-ca: %s has no certificate in PEM", o.CA)
			}
		}
		opts = append(opts, kgo.DialTLSConfig(c))
	} else if o.CA != "" {
		return nil, errors.New("kafka-ca says whom to trust over TLS, and kafka-tls is off")
	}
	if o.SASL == "" {
		if o.User != "" {
			return nil, errors.New("kafka-user is named, and kafka-sasl says that nobody signs in")
		}
		return opts, nil
	}
	if o.User == "" || o.Password == "" {
		return nil, errors.New("kafka-sasl needs kafka-user and the secret KAFKA_PASSWORD")
	}
	as := scram.Auth{User: o.User, Pass: o.Password}
	switch o.SASL {
	case "plain":
		if !o.TLS {
			return nil, errors.New("kafka-sasl: plain sends the password as it is: it needs kafka-tls")
		}
		return append(opts, kgo.SASL(plain.Auth{User: o.User, Pass: o.Password}.AsMechanism())), nil
	case "scram-sha-256":
		return append(opts, kgo.SASL(as.AsSha256Mechanism())), nil
	case "scram-sha-512":
		return append(opts, kgo.SASL(as.AsSha512Mechanism())), nil
	}
	return nil, fmt.Errorf("kafka-sasl: %q is not plain, scram-sha-256 or scram-sha-512", o.SASL)
}

// Handle hands events on, and returns when the brokers have all of them: a handler for [event.Hub.ReadBatch]. Unavailable where the brokers are away or do not let it in;
// another error where they will not take an event as it is.
func (p *Producer) Handle(ctx context.Context, events []event.Event) error {
	records := make([]*kgo.Record, len(events))
	for i := range events {
		value, err := json.Marshal(events[i].CloudEvent())
		if err != nil {
			return err
		}
		// The record's timestamp is left to the producer, which counts its patience from it: an event that is read again from long ago would have none.
		records[i] = &kgo.Record{
			Topic: p.prefix + events[i].Kind.Topic, Key: []byte(events[i].Subject), Value: value,
			Headers: []kgo.RecordHeader{{Key: "content-type", Value: []byte(event.ContentType)}},
		}
	}
	client, err := p.reach()
	if err != nil {
		return err
	}
	err = client.ProduceSync(ctx, records...).FirstErr()
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case refused(err):
		return fmt.Errorf("kafka refused the event: %w", err)
	}
	return fault.New(fault.Unavailable, "Kafka: %v", err).Because(err)
}

// refused reports that the brokers will never take the record.
func refused(err error) bool {
	for _, never := range []error{kerr.MessageTooLarge, kerr.RecordListTooLarge, kerr.InvalidRecord, kerr.InvalidTimestamp, kerr.CorruptMessage, kerr.InvalidTopicException} {
		if errors.Is(err, never) {
			return true
		}
	}
	return false
}

// Close lets go of the brokers.
func (p *Producer) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	if p.client != nil {
		p.client.Close()
	}
}
