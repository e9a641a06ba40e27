package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/nilecare/nilecare/internal/app/config"
	"github.com/nilecare/nilecare/internal/event"
	"github.com/nilecare/nilecare/internal/event/kafka"
	"github.com/nilecare/nilecare/internal/web"
)

// kafka has the hub hand events on to Kafka, where brokers are named. The function that it returns lets go of them.
func (p *Program) kafka(h *event.Hub) (stop func(), err error) {
	c := p.cfg
	if len(c.KafkaBrokers) == 0 {
		if c.KafkaPrefix != "" || c.KafkaTLS || c.KafkaCA != "" || c.KafkaUser != "" || c.KafkaSASL != "none" && c.KafkaSASL != "" {
			return nil, errors.New("kafka-brokers names no broker, and other settings of Kafka are made")
		}
		return func() {}, nil
	}
	o := kafka.Options{Brokers: c.KafkaBrokers, Prefix: c.KafkaPrefix, TLS: c.KafkaTLS, CA: c.KafkaCA, User: c.KafkaUser}
	if c.KafkaSASL != "none" {
		o.SASL = c.KafkaSASL
		found, err := p.secrets(web.WantedSecret{Name: "KAFKA_PASSWORD"})
		if err != nil {
			return nil, err
		}
		o.Password = string(found["KAFKA_PASSWORD"])
	}
	to, err := kafka.New(o)
	if err != nil {
		return nil, err
	}
	h.ReadBatch(kafka.Reader, event.FromNow, to.Handle)
	return to.Close, nil
}

type eventsFlags struct{ reader, from string }

const eventsUsage = "usage: nilecare events readers|kinds|list|show ID|replay ID|replay all|discard ID|discard all, or nilecare events replay --reader NAME --from PLACE"

func buildEvents(p *Program) ([]config.Setting, func(context.Context, []string) error) {
	f := &eventsFlags{}
	own := []config.Setting{
		{Name: "reader", Value: config.Text(&f.reader), Help: "list, replay all, discard all: only dead letters of this reader; replay: the reader that is sent back"},
		{Name: "from", Value: config.Text(&f.from), Help: "replay: have the reader handle everything behind this change, or from this time on; 0 is the beginning"},
	}
	return own, func(ctx context.Context, args []string) error {
		of := ""
		if len(args) == 2 {
			of = args[1]
		}
		needs := map[string]bool{"readers": false, "kinds": false, "list": false, "show": true, "replay": f.from == "", "discard": true}
		if need, known := needs[args[0]]; !known || need != (of != "") || f.from != "" && (f.reader == "" || args[0] != "replay") {
			return &config.UsageError{Text: eventsUsage}
		}
		return p.operate(ctx, "events", url.Values{"do": {args[0]}, "of": {of}, "reader": {f.reader}, "from": {f.from}}, p.Out)
	}
}

// eventsTo looks after the readers of events.
func eventsTo(ctx context.Context, store *opened, params url.Values, out io.Writer) error {
	x, err := store.services(ctx)
	if err != nil {
		return err
	}
	h, of, reader := x.care.hub, params.Get("of"), params.Get("reader")
	switch params.Get("do") {
	case "readers":
		return readersTo(ctx, h, out)
	case "kinds":
		return kindsTo(h, out)
	case "list":
		return lettersTo(ctx, h, reader, out)
	case "replay":
		if from := params.Get("from"); from != "" {
			return rewindTo(ctx, h, reader, from, out)
		}
	}
	q := event.LetterQuery{Reader: reader}
	if of != "all" || params.Get("do") == "show" {
		if q.ID, err = strconv.ParseInt(of, 10, 64); err != nil || q.ID <= 0 {
			return fmt.Errorf("%q is no id of a dead letter", of)
		}
		if _, _, err := h.Letter(ctx, q.ID); err != nil {
			return err
		}
	}
	var n int
	switch params.Get("do") {
	case "show":
		return letterTo(ctx, h, q.ID, out)
	case "replay":
		if n, err = h.HandleAgain(ctx, q); err == nil {
			_, err = fmt.Fprintf(out, "%d dead letters are handled again by the server that reads for them\n", n)
		}
		return err
	case "discard":
		if n, err = h.Discard(ctx, q); err == nil {
			_, err = fmt.Fprintf(out, "%d dead letters are given up\n", n)
		}
		return err
	}
	return errors.New(eventsUsage)
}

func readersTo(ctx context.Context, h *event.Hub, out io.Writer) error {
	found, last, err := h.Readers(ctx)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintf(w, "reader\tplace (of %d)\tbehind\tdead letters\tread\tin trouble since\tbecause\n", last)
	for _, s := range found {
		read, since := "yes", ""
		if !s.Read {
			read = "by nobody"
		}
		if !s.Failing.IsZero() {
			since = when(s.Failing)
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%s\t%s\t%s\n", s.Name, s.Position, s.Behind, s.Letters, read, since, oneLine(s.Problem))
	}
	return w.Flush()
}

// oneLine is a text without what would break a table.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

func kindsTo(h *event.Hub, out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "kind\tversion\ttopic\twhat it says")
	for _, k := range h.Kinds() {
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\n", k.Name, k.Version, k.Topic, k.Summary)
	}
	return w.Flush()
}

func lettersTo(ctx context.Context, h *event.Hub, reader string, out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "id\treader\tkind\tabout\ttries\tstate\tsince\tbecause")
	for after := int64(0); ; {
		found, err := h.Letters(ctx, event.LetterQuery{Reader: reader, After: after, Limit: 500})
		if err != nil {
			return err
		}
		for _, l := range found {
			fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%d\t%s\t%s\t%s\n", l.ID, l.Reader, l.Kind, l.Subject, l.Tries, l.State, when(l.Made), oneLine(l.Problem))
			after = l.ID
		}
		if len(found) == 0 {
			return w.Flush()
		}
	}
}

// letterTo shows a letter and its events. The operator has the record itself: the events' data is shown.
func letterTo(ctx context.Context, h *event.Hub, id int64, out io.Writer) error {
	l, events, err := h.Letter(ctx, id)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "dead letter %d of the reader %s: %s about %s, of %s\ntried %d times, %s since %s: %s\n",
		l.ID, l.Reader, l.Kind, l.Subject, when(l.Happened), l.Tries, l.State, when(l.Changed), oneLine(l.Problem))
	if len(events) == 0 {
		_, err := fmt.Fprintln(out, "the change cannot be told: its patient was erased, or it means nothing any more, or its source fails on it")
		return err
	}
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	for i := range events {
		if err := e.Encode(events[i].CloudEvent()); err != nil {
			return err
		}
	}
	return nil
}

func rewindTo(ctx context.Context, h *event.Hub, reader, from string, out io.Writer) error {
	after, err := strconv.ParseInt(from, 10, 64)
	if err != nil {
		t, err := time.Parse(time.RFC3339, from)
		if err != nil {
			return fmt.Errorf("from: %q is neither the number of a change nor a time such as 2026-01-31T10:00:00Z", from)
		}
		if after, err = h.At(ctx, t); err != nil {
			return err
		}
	}
	if err := h.Rewind(ctx, reader, after); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "the reader %s goes on behind change %d\n", reader, after)
	return err
}
