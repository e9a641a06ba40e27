package live

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
)

// teamRoom is where alerts go, beside the patient's room.
const teamRoom = "clinical-team"

// prefixes are the rooms that are joined with an id, by the beginnings of the names that clients have for them; longer ones first.
var prefixes = []struct{ begin, kind string }{
	{"patient-ehr-", "patient"}, {"patient:", "patient"}, {"patient-", "patient"}, {"facility:", "facility"}, {"facility-", "facility"},
	{"user:", "user"}, {"user-", "user"}, {"role:", "role"}, {"role-", "role"},
}

// named reads a room's name: "patient-12" is the patient 12.
func named(room string) (kind, id string) {
	if room == teamRoom || room == teamRoom+"-all" {
		return "team", ""
	}
	for _, p := range prefixes {
		if id, ok := strings.CutPrefix(room, p.begin); ok && id != "" && len(id) <= 64 {
			return p.kind, id
		}
	}
	return "", ""
}

// admit says which room the name means, to a caller who may be in it: NotFound for a room that there is not, Forbidden for one that is not for them. A
// patient whom the caller may not see and one whom there is not are answered alike.
func (s *Service) admit(ctx context.Context, room string) (string, error) {
	caller := access.From(ctx)
	kind, id := named(room)
	refused := fault.New(fault.Forbidden, "this room is not for you")
	switch kind {
	case "user":
		if caller.User != 0 && id == strconv.FormatInt(caller.User, 10) {
			return userRoom(caller.User), nil
		}
		return "", refused
	case "role":
		for _, r := range caller.Roles {
			if access.CanonicalRole(r) == access.CanonicalRole(id) {
				return roleRoom(r), nil
			}
		}
		return "", refused
	case "team":
		if caller.Permits("records:read") && !slices.Contains(caller.Roles, "patient") {
			return teamRoom, nil
		}
		return "", refused
	case "facility":
		if !caller.Permits("facilities:read") {
			return "", refused
		}
		r, err := s.Records.Read(ctx, "Organization", id)
		if err != nil {
			return "", closed(err, refused)
		}
		return "facility:" + r.Key(), nil
	case "patient":
		r, err := s.Records.Read(ctx, "Patient", id)
		if err != nil {
			return "", closed(err, refused)
		}
		return patientRoom(r.Version.ID), nil
	}
	return "", fault.New(fault.NotFound, "there is no such room: known are patient:ID, facility:ID, user:ID, role:NAME and %s", teamRoom)
}

// closed says of what cannot be read that it is not for the caller; other failures stay what they are.
func closed(err error, refused error) error {
	switch fault.KindOf(err) {
	case fault.NotFound, fault.Gone, fault.Forbidden, fault.Unauthenticated, fault.Invalid:
		return refused
	default:
		return err
	}
}

// join puts a client into the room of that name, where it may be, and returns the room's own name.
func (s *Service) join(ctx context.Context, c *client, room string) (string, error) {
	at, err := s.admit(c.context(ctx), room)
	if err != nil {
		return "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, in := s.clients[c]; !in {
		return "", fault.New(fault.Unavailable, "the connection has ended")
	}
	if _, in := c.rooms[at]; in {
		return at, nil
	}
	if len(c.rooms) >= maxRooms {
		return "", fault.New(fault.TooMany, "a connection may be in %d rooms at most", maxRooms)
	}
	s.enter(c, at, room)
	return at, nil
}

// part takes a client out of the room that it asked for by that name, or by the room's own. It stays in those that are its own.
func (s *Service) part(c *client, room string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for at, as := range c.rooms {
		if as != asOwn && (at == room || as == room || sameRoom(as, room)) {
			s.leave(c, at)
		}
	}
}

// sameRoom reports two names for one room.
func sameRoom(a, b string) bool {
	kind, id := named(a)
	other, id2 := named(b)
	return kind != "" && kind == other && id == id2
}
