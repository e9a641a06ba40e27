package web

import (
	"context"
	"encoding/hex"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// The headers of a webhook that we send. The signature is "sha256=" and HMAC-SHA256, in hexadecimal, of the id, a dot, the timestamp in
// seconds since 1970, a dot, and the raw body: neither id nor time can be changed without the secret. While a secret is being replaced there are
// two signatures with a comma between them, by the new secret and by the old one: one that matches is enough.
const (
	WebhookID        = "X-Webhook-Id"
	WebhookTimestamp = "X-Webhook-Timestamp"
	WebhookSignature = "X-Webhook-Signature"
)

const webhookPrefix = "sha256="

func webhookText(id, timestamp string, body []byte) []byte {
	b := make([]byte, 0, len(id)+len(timestamp)+len(body)+2)
	b = append(append(append(append(b, id...), '.'), timestamp...), '.')
	return append(b, body...)
}

// SignWebhook sets the headers of a webhook. A second attempt at the same delivery has the same id and a new time. old are secrets that the receiver
// may still know in place of the new one.
func SignWebhook(h http.Header, id string, body, secret []byte, now time.Time, old ...[]byte) {
	timestamp := strconv.FormatInt(now.Unix(), 10)
	text := webhookText(id, timestamp, body)
	signatures := make([]string, 0, 1+len(old))
	for _, s := range append([][]byte{secret}, old...) {
		signatures = append(signatures, webhookPrefix+hex.EncodeToString(macOf(s, text)))
	}
	h.Set(WebhookID, id)
	h.Set(WebhookTimestamp, timestamp)
	h.Set(WebhookSignature, strings.Join(signatures, ","))
}

// mostSignatures bounds how many signatures one webhook may bring.
const mostSignatures = 3

// Delivery is a webhook that was verified.
type Delivery struct {
	ID    string
	names []string // under which it is remembered
}

// Webhook verifies one that came with this body, by the secrets of its sender, whose name is keyID. bodyOnly is for senders that sign the
// raw body alone, as payment providers of the product's contract do (X-Signature, X-Timestamp and X-Event-Id are read too): nobody vouches
// for their time and id, so the body is remembered as well. The error is Unauthenticated, or the memory's.
//
// A sender repeats a delivery that was not answered with success: where handling fails, [Signatures.Undo] lets the next attempt pass.
func (s *Signatures) Webhook(r *http.Request, keyID string, body []byte, bodyOnly bool) (Delivery, error) {
	id := one(r.Header, WebhookID, "X-Event-Id")
	timestamp := one(r.Header, WebhookTimestamp, "X-Timestamp")
	said := one(r.Header, WebhookSignature, HeaderSignature)
	if id == "" || len(id) > 200 || said == "" {
		return Delivery{}, errSignature("a header is missing or malformed")
	}
	now := s.now()
	if !inWindow(timestamp, now) {
		return Delivery{}, errSignature("the time is outside of the window")
	}
	text := webhookText(id, timestamp, body)
	if bodyOnly {
		text = body
	}
	said, err := s.matchOne(r.Context(), keyID, said, text)
	if err != nil {
		return Delivery{}, err
	}
	d := Delivery{ID: id, names: []string{"webhook\n" + keyID + "\n" + id}}
	if bodyOnly {
		d.names = append(d.names, "webhook body\n"+keyID+"\n"+strings.ToLower(said))
	}
	for i, name := range d.names {
		if err := s.first(r.Context(), name, now); err != nil {
			return Delivery{}, errors.Join(err, s.forget(r.Context(), d.names[:i]))
		}
	}
	return d, nil
}

// matchOne returns the first of the signatures that matches.
func (s *Signatures) matchOne(ctx context.Context, keyID, said string, text []byte) (matched string, err error) {
	all := strings.Split(said, ",")
	if len(all) > mostSignatures {
		return "", errSignature("there are too many signatures")
	}
	for _, one := range all {
		matched = strings.TrimPrefix(strings.TrimSpace(one), webhookPrefix)
		if err = s.match(ctx, keyID, matched, text); err == nil {
			return matched, nil
		}
	}
	return "", err
}

// Undo forgets a delivery whose handling failed, so that its sender may repeat it.
func (s *Signatures) Undo(ctx context.Context, d Delivery) error { return s.forget(ctx, d.names) }

func (s *Signatures) forget(ctx context.Context, names []string) error {
	for _, name := range names {
		if err := s.Replays.Forget(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// one returns the value of the first of these headers that is there once.
func one(h http.Header, names ...string) string {
	for _, n := range names {
		if v := h[n]; len(v) == 1 {
			return v[0]
		}
	}
	return ""
}

// Replayed reports that an error is about a second use, for senders that repeat what they got no answer to: it is then answered as done.
func Replayed(err error) bool {
	return errors.Is(err, errReplayed)
}
