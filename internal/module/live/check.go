package live

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
)

// untold is how long a connection goes on when it cannot be found out whether its credential is valid.
const untold = time.Minute

// verdict is what was found of a credential.
type verdict struct {
	caller access.Caller
	err    error
}

// check looks at all clients' credentials again, each credential once.
func (s *Service) check(ctx context.Context) {
	s.mu.RLock()
	all := make([]*client, 0, len(s.clients))
	for c := range s.clients {
		all = append(all, c)
	}
	s.mu.RUnlock()
	found := map[Credential]verdict{}
	for _, c := range all {
		if ctx.Err() != nil {
			return
		}
		if c.cred != nil {
			v, ok := found[*c.cred]
			if !ok {
				v = s.look(ctx, c)
				found[*c.cred] = v
			}
			if !s.holds(c, &v) {
				continue
			}
		}
		s.sight(ctx, c)
	}
}

// look asks who shows the client's credential now.
func (s *Service) look(ctx context.Context, c *client) verdict {
	nobody := access.Anonymous()
	nobody.Tenant = c.tenant
	cred := *c.cred
	cred.Quiet = true
	caller, err := s.Authenticate(access.With(ctx, nobody), cred)
	if err == nil && !caller.Known() {
		err = fault.New(fault.Unauthenticated, "the credentials are not valid")
	}
	return verdict{caller, err}
}

// holds takes on what was found of a client's credential; false where the connection has ended by it.
func (s *Service) holds(c *client, v *verdict) bool {
	now := s.Clock()
	switch {
	case fault.Is(v.err, fault.Unauthenticated) || fault.Is(v.err, fault.Forbidden):
		c.end("the session has ended: sign in, and connect again", "INVALID_TOKEN")
		return false
	case v.err != nil:
		if now.Sub(time.Unix(0, c.held.Load())) > untold {
			s.Log.Warn("live: a connection is ended, since it cannot be found out who it is", "error", v.err.Error())
			c.end("it cannot be found out whether the session goes on: connect again", "SERVICE_UNAVAILABLE")
			return false
		}
		return true
	}
	c.held.Store(now.UnixNano())
	old := c.caller.Load()
	caller := v.caller
	caller.Address, caller.RequestID = old.Address, old.RequestID
	if caller.User != old.User || caller.Who != old.Who || caller.Tenant != old.Tenant {
		c.end("the session is another user's now: connect again", "INVALID_TOKEN")
		return false
	}
	changed := !slices.Equal(old.Roles, caller.Roles) || !slices.Equal(old.Self, caller.Self) || old.Emergency != caller.Emergency || old.Client == "" && old.Grant != caller.Grant
	c.caller.Store(&caller)
	if changed {
		s.settle(c, &caller)
		c.seen.Store(0)
	}
	return true
}

// settle has a client be in its own rooms as they are now.
func (s *Service) settle(c *client, caller *access.Caller) {
	want := own(caller)
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, in := s.clients[c]; !in {
		return
	}
	for room, as := range c.rooms {
		if as == asOwn && !slices.Contains(want, room) {
			s.leave(c, room)
		}
	}
	for _, room := range want {
		s.enter(c, room, asOwn)
	}
}

// sight looks again whether a client may be in the rooms that it asked for, where that is due.
func (s *Service) sight(ctx context.Context, c *client) {
	now := s.Clock()
	if now.Sub(time.Unix(0, c.seen.Load())) < s.Sight {
		return
	}
	c.seen.Store(now.UnixNano())
	s.mu.RLock()
	asked := map[string]string{}
	for room, as := range c.rooms {
		if as != asOwn {
			asked[room] = as
		}
	}
	s.mu.RUnlock()
	for room, as := range asked {
		at, err := s.admit(c.context(ctx), as)
		if err == nil && at == room {
			continue
		}
		if err != nil && !fault.Is(err, fault.Forbidden) && !fault.Is(err, fault.NotFound) {
			s.Log.Warn("live: it cannot be found out who may be in a room", "error", err.Error())
			continue
		}
		s.mu.Lock()
		s.leave(c, room)
		s.mu.Unlock()
		text, _ := json.Marshal(map[string]string{"room": as, "reason": "this room is not for you any more"}) // texts can always be said
		c.deliver(&message{name: "room:left", data: text})
	}
}

// codeOf is the code of an error in the product API's words.
func codeOf(err error) string {
	switch fault.KindOf(err) {
	case fault.Unauthenticated:
		if code := firstCode(err); code != "" {
			return code
		}
		return "AUTHENTICATION_REQUIRED"
	case fault.Forbidden:
		return "PERMISSION_DENIED"
	case fault.NotFound:
		return "NOT_FOUND"
	case fault.Invalid:
		return "VALIDATION_ERROR"
	case fault.TooMany:
		return "RATE_LIMIT_EXCEEDED"
	case fault.Unavailable:
		return "SERVICE_UNAVAILABLE"
	default:
		return "INTERNAL_ERROR"
	}
}

// firstCode is the code of the error's first issue where it is one of the product API's, which are in capitals.
func firstCode(err error) string {
	code := firstIssue(err)
	if code == "" || strings.ToUpper(code) != code {
		return ""
	}
	return code
}
