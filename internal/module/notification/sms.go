package notification

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/job"
)

// Gateway says how text messages are handed to a provider: one HTTP request each.
type Gateway struct {
	URL  string // https; http to this machine alone
	From string // the sender, where Body has a place for it
	// Body is the request's body: JSON where it begins with a brace or bracket, else a form ("To={to}&From={from}&Body={text}"). In its values {to}, {from}
	// and {text} are put in. "" is {"to":"{to}","from":"{from}","text":"{text}"}.
	Body           string
	User, Password string // basic authentication; "": none
	Token          string // "": none
	Header         string // the header that the token stands in; "": Authorization, with Bearer
	Client         *http.Client
}

const (
	defaultBody   = `{"to":"{to}","from":"{from}","text":"{text}"}`
	gatewayWithin = 30 * time.Second
	gatewayReads  = 64 << 10
)

// Texts is a carrier of text messages.
type Texts struct {
	g      Gateway
	json   any
	form   url.Values
	client *http.Client
}

// NewTexts returns the carrier. Invalid, by the name of the field, where the gateway is not usable.
func NewTexts(g Gateway) (*Texts, error) {
	u, err := url.Parse(g.URL)
	if err != nil || u.Host == "" {
		return nil, fault.At(fault.Invalid, "url", "must be the URL of the gateway")
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname())) {
		return nil, fault.At(fault.Invalid, "url", "must be https: numbers and texts are personal data")
	}
	if g.Body == "" {
		g.Body = defaultBody
	}
	t := &Texts{g: g}
	if strings.HasPrefix(g.Body, "{") || strings.HasPrefix(g.Body, "[") {
		err = json.Unmarshal([]byte(g.Body), &t.json)
	} else {
		t.form, err = url.ParseQuery(g.Body)
	}
	if err != nil {
		return nil, fault.At(fault.Invalid, "body", "is neither JSON nor a form")
	}
	for _, needed := range []string{"{to}", "{text}"} {
		if !strings.Contains(g.Body, needed) {
			return nil, fault.At(fault.Invalid, "body", "has no place for %s", needed)
		}
	}
	if strings.Contains(g.Body, "{from}") && g.From == "" {
		return nil, fault.At(fault.Invalid, "from", "is missing: the body has a place for the sender")
	}
	t.client = &http.Client{Timeout: gatewayWithin}
	if g.Client != nil {
		c := *g.Client
		t.client = &c
	}
	t.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse } // a text goes where the operator said
	return t, nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Send implements [Sender]: the title is put before the text only where there is no other text.
func (t *Texts) Send(ctx context.Context, to, title, body string) error {
	if body == "" {
		body = title
	}
	return t.Text(ctx, to, body)
}

// Text hands one message to the gateway. Invalid where to is no phone number or the gateway refuses the request for what is in it, Unavailable for all else; neither
// tells what the gateway said, which may hold the number.
func (t *Texts) Text(ctx context.Context, to, text string) error {
	number := phone(to)
	if number == "" {
		return fault.At(fault.Invalid, "to", "is no phone number")
	}
	content, typ, err := t.body(strings.NewReplacer("{to}", number, "{from}", t.g.From, "{text}", text))
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, t.g.URL, bytes.NewReader(content))
	if err != nil {
		return fault.New(fault.Internal, "the gateway's URL cannot be used")
	}
	r.Header.Set("Content-Type", typ)
	r.Header.Set("Accept", "application/json")
	switch {
	case t.g.User != "":
		r.SetBasicAuth(t.g.User, t.g.Password)
	case t.g.Token != "" && t.g.Header != "":
		r.Header.Set(t.g.Header, t.g.Token)
	case t.g.Token != "":
		r.Header.Set("Authorization", "Bearer "+t.g.Token)
	}
	answer, err := t.client.Do(r)
	if err != nil {
		var slow net.Error
		if errors.As(err, &slow) && slow.Timeout() || errors.Is(err, context.DeadlineExceeded) {
			return fault.New(fault.Unavailable, "the gateway of text messages did not answer in time")
		}
		return fault.New(fault.Unavailable, "the gateway of text messages cannot be reached")
	}
	defer func() { _ = answer.Body.Close() }()
	// What is read to the end leaves the connection for the next message.
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, gatewayReads))
	return judge(answer)
}

// judge says what the gateway's status means.
func judge(answer *http.Response) error {
	code := answer.StatusCode
	switch {
	case code >= 200 && code < 300:
		return nil
	case code == http.StatusBadRequest, code == http.StatusNotFound, code == http.StatusUnprocessableEntity:
		return fault.New(fault.Invalid, "the gateway of text messages refused it: %d", code)
	}
	err := fault.New(fault.Unavailable, "the gateway of text messages refused it: %d", code)
	if seconds, e := strconv.Atoi(answer.Header.Get("Retry-After")); e == nil && seconds > 0 {
		return job.After(err, time.Duration(min(seconds, 86_400))*time.Second)
	}
	return err
}

// body fills the template's values, and nothing else of it.
func (t *Texts) body(put *strings.Replacer) (content []byte, typ string, err error) {
	if t.form != nil {
		out := url.Values{}
		for name, values := range t.form {
			for _, v := range values {
				out.Add(name, put.Replace(v))
			}
		}
		return []byte(out.Encode()), "application/x-www-form-urlencoded", nil
	}
	content, err = json.Marshal(filled(t.json, put))
	return content, "application/json", err
}

func filled(v any, put *strings.Replacer) any {
	switch v := v.(type) {
	case string:
		return put.Replace(v)
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = filled(v[i], put)
		}
		return out
	case map[string]any:
		out := map[string]any{}
		for name, one := range v {
			out[name] = filled(one, put)
		}
		return out
	}
	return v
}
