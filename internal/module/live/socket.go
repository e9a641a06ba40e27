package live

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/module/live/socketio"
	"github.com/nilecare/nilecare/internal/web"
)

func firstIssue(err error) string {
	var e *fault.Error
	if errors.As(err, &e) && len(e.Issues) > 0 {
		return e.Issues[0].Code
	}
	return ""
}

func (s *Service) serveSockets(w http.ResponseWriter, r *http.Request) {
	web.SetRoute(w, "/socket.io/")
	s.sockets.ServeHTTP(w, r)
}

// allow admits pages of our own, and clients that are no browsers.
func (s *Service) allow(r *http.Request) error {
	if len(r.Header["Origin"]) == 0 && len(r.Header["Sec-Fetch-Site"]) == 0 {
		return nil
	}
	return s.SameOrigin(r)
}

// credential is what the request and the client's own word show; nil where they show nothing.
func (s *Service) credential(r *http.Request, auth json.RawMessage) (*Credential, error) {
	var said struct{ Token *string }
	if err := json.Unmarshal(auth, &said); err != nil {
		return nil, fault.At(fault.Invalid, "auth", "an object with the token is expected").WithCode("value")
	}
	tenant, err := s.Tenant(r.Context(), r)
	if err != nil {
		return nil, err
	}
	c := &Credential{Tenant: tenant, Address: access.From(r.Context()).Address, Agent: r.UserAgent()}
	if said.Token != nil {
		c.Token = strings.TrimSpace(*said.Token)
		if scheme, rest, ok := strings.Cut(c.Token, " "); ok && strings.EqualFold(scheme, "Bearer") {
			c.Token = strings.TrimSpace(rest)
		}
	}
	if c.Token == "" {
		c.Token = web.Bearer(r)
	}
	if c.Token == "" {
		c.APIKey = web.APIKey(r)
	}
	if c.Token != "" || c.APIKey != "" {
		return c, nil
	}
	if c.Cookie = web.Session(r); c.Cookie != "" {
		// A browser sends it by itself: it counts from pages of ours alone.
		return c, s.SameOrigin(r)
	}
	if cert, ok := web.ClientCertificate(r); ok {
		c.Certificate = cert.Fingerprint
		return c, nil
	}
	return nil, nil
}

// identify says who connects.
func (s *Service) identify(ctx context.Context, r *http.Request, auth json.RawMessage) (access.Caller, *Credential, error) {
	from := access.From(ctx)
	cred, err := s.credential(r, auth)
	switch {
	case err != nil:
		return from, nil, err
	case cred == nil && from.Known(): // the edge knows everybody
		return from, nil, nil
	case cred == nil:
		return from, nil, fault.New(fault.Unauthenticated, "sign in first: send auth with a token, or the header Authorization")
	}
	caller, err := s.Authenticate(ctx, *cred)
	if err == nil && !caller.Known() {
		err = fault.New(fault.Unauthenticated, "the credentials are not valid")
	}
	caller.Address, caller.RequestID = from.Address, from.RequestID
	return caller, cred, err
}

// connect begins a client of Socket.IO.
func (s *Service) connect(ctx context.Context, conn *socketio.Conn, r *http.Request, auth json.RawMessage) (socketio.Peer, error) {
	caller, cred, err := s.identify(ctx, r, auth)
	if err != nil {
		told := web.Fault(err)
		if told.Kind == fault.Internal {
			s.Log.Error("live: connecting", "request_id", access.From(ctx).RequestID, "error", err.Error())
		}
		return nil, told
	}
	var once sync.Once
	c := &client{tenant: caller.Tenant, cred: cred, deliver: func(m *message) { conn.Send(m.frame()) }}
	c.end = func(why, code string) {
		once.Do(func() {
			text, _ := json.Marshal(map[string]string{"message": why, "code": code}) // texts can always be said
			conn.Send(socketio.Encode("session:ended", text))
			conn.End(why)
		})
	}
	c.caller.Store(&caller)
	return &peer{s, c, ctx}, nil
}

// peer is a client of Socket.IO.
type peer struct {
	s   *Service
	c   *client
	ctx context.Context
}

// Open implements socketio.Peer.
func (p *peer) Open() {
	if err := p.s.add(p.c); err != nil {
		p.c.end(err.Error(), codeOf(err))
	}
}

// Closed implements socketio.Peer.
func (p *peer) Closed(string) { p.s.remove(p.c) }

// answer is an acknowledgement.
type answer struct {
	OK    bool     `json:"ok"`
	Room  string   `json:"room,omitempty"`
	Rooms []string `json:"rooms,omitempty"`
	Error string   `json:"error,omitempty"`
	Code  string   `json:"code,omitempty"`
}

// Event implements socketio.Peer.
func (p *peer) Event(name string, args []json.RawMessage) any {
	if !p.c.budget.take(p.s.Clock()) {
		return refused(fault.New(fault.TooMany, "too many at a time: wait a little"))
	}
	switch name {
	case "subscribe:patient", "subscribe-patient":
		return p.joins(args, "patientId", "patient:")
	case "unsubscribe:patient", "unsubscribe-patient":
		return p.parts(args, "patientId", "patient:")
	case "subscribe:room", "join-room", "join:room":
		return p.joins(args, "room", "")
	case "unsubscribe:room", "leave-room", "leave:room":
		return p.parts(args, "room", "")
	case "join":
		return p.joinsOwn(args)
	}
	return refused(fault.New(fault.NotFound, "there is no such event: known are subscribe:patient, unsubscribe:patient, subscribe:room, unsubscribe:room, join-room, leave-room and join"))
}

func refused(err error) answer {
	told := web.Fault(err)
	return answer{Error: told.Error(), Code: codeOf(told)}
}

// wanted reads the first argument: a name or number, or an object with it under the member.
func wanted(args []json.RawMessage, member, begin string) (string, error) {
	wrong := fault.At(fault.Invalid, member, "is needed").WithCode("required")
	if len(args) == 0 {
		return "", wrong
	}
	v := args[0]
	var in map[string]json.RawMessage
	if err := json.Unmarshal(v, &in); err == nil && in != nil {
		v = in[member]
	}
	var text string
	if err := json.Unmarshal(v, &text); err != nil {
		var number json.Number
		if err := json.Unmarshal(v, &number); err != nil {
			return "", wrong
		}
		text = number.String()
	}
	if text == "" || len(text) > 100 {
		return "", wrong
	}
	return begin + text, nil
}

func (p *peer) joins(args []json.RawMessage, member, begin string) any {
	room, err := wanted(args, member, begin)
	if err == nil {
		_, err = p.s.join(p.ctx, p.c, room)
	}
	if err != nil {
		if fault.KindOf(err) == fault.Internal {
			p.s.Log.Error("live: joining", "error", err.Error())
		}
		return refused(err)
	}
	return answer{OK: true, Room: room}
}

func (p *peer) parts(args []json.RawMessage, member, begin string) any {
	room, err := wanted(args, member, begin)
	if err != nil {
		return refused(err)
	}
	p.s.part(p.c, room)
	return answer{OK: true, Room: room}
}

// joinsOwn is what older clients begin with: they name their user and role, in whose rooms they are anyway. Others' are refused.
func (p *peer) joinsOwn(args []json.RawMessage) any {
	out := answer{OK: true, Rooms: []string{}}
	for _, one := range [...]struct{ member, begin string }{{"userId", "user:"}, {"role", "role:"}} {
		room, err := wanted(args, one.member, one.begin)
		if err != nil {
			continue // it need not be named
		}
		if _, err := p.s.admit(p.c.context(p.ctx), room); err != nil {
			return refused(err)
		}
		out.Rooms = append(out.Rooms, room)
	}
	return out
}
