package identity

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/web"
)

// A lock-out must not become a weapon: whoever guesses wrong five times a day, from anywhere, would keep somebody out for good. So a browser that a user
// has signed in by keeps a mark that says so, and wrong guesses from there are counted by the browser, apart from those of everybody else: the lock that
// strangers caused does not hold for it, and it has no more guesses than they have. (OWASP, "Slow Down Online Guessing Attacks with Device Cookies".)
//
// The mark is the browser's own random number and, for each user, a keyed hash of that number with the user's: it names nobody, and nothing of it is kept
// here. It opens nothing by itself. Whoever steals it has some more guesses, no more.

const (
	deviceCookie      = "__Host-device"
	deviceCookiePlain = "device"
	deviceLife        = 180 * 24 * time.Hour
	deviceText        = 22 // characters of 16 bytes in base64url
	deviceUsers       = 8  // of one browser; the least recent goes
)

// device16 is how 16 bytes stand in the mark.
func device16(b []byte) string { return base64.RawURLEncoding.EncodeToString(b[:16]) }

// browserMark is what a browser keeps.
type browserMark struct {
	tenant int32
	number string   // the browser's own
	users  []string // hashes, the most recent last
}

func (m *browserMark) String() string {
	return strings.Join(append([]string{strconv.Itoa(int(m.tenant)), m.number}, m.users...), ".")
}

// readMark reads a mark of the tenant; nil for what is none.
func readMark(tenant int32, raw string) *browserMark {
	parts := strings.Split(raw, ".")
	if len(raw) > 400 || len(parts) < 2 || len(parts) > 2+deviceUsers || parts[0] != strconv.Itoa(int(tenant)) {
		return nil
	}
	for _, p := range parts[1:] {
		if b, err := base64.RawURLEncoding.Strict().DecodeString(p); err != nil || len(b) != 16 {
			return nil
		}
	}
	return &browserMark{tenant: tenant, number: parts[1], users: parts[2:]}
}

func (s *Service) userMark(ctx context.Context, tenant int32, number string, user int64) (string, error) {
	b, err := s.ledger.Blind(ctx, tenant, "identity.device", number+"/"+strconv.FormatInt(user, 10))
	if err != nil {
		return "", err
	}
	return device16(b), nil
}

// browserOf returns the number of a browser that the user has signed in by; "": it is not known to be one.
func (s *Service) browserOf(ctx context.Context, tenant int32, user int64, raw string) (string, error) {
	m := readMark(tenant, raw)
	if m == nil {
		return "", nil
	}
	want, err := s.userMark(ctx, tenant, m.number, user)
	if err != nil {
		return "", err
	}
	for _, has := range m.users {
		if subtle.ConstantTimeCompare([]byte(has), []byte(want)) == 1 {
			return m.number, nil
		}
	}
	return "", nil
}

// fromBrowser has a guess counted by the browser, where one is known: anew after each change of the user, so that a new password and an administrator's
// unlocking help here as they do elsewhere.
func (s *Service) fromBrowser(ctx context.Context, g *guess, u *User, number string) (err error) {
	if number != "" {
		g.account, err = s.ledger.Blind(ctx, g.tenant, "identity.attempt.device", number+"/"+strconv.FormatInt(u.ID, 10)+"/"+strconv.FormatInt(u.version, 10))
	}
	return err
}

// marked returns the mark that the browser has from then on: what it had, and the user.
func (s *Service) marked(ctx context.Context, tenant int32, user int64, raw string) (string, error) {
	m := readMark(tenant, raw)
	if m == nil {
		var b [16]byte
		_, _ = rand.Read(b[:]) // it never fails
		m = &browserMark{tenant: tenant, number: device16(b[:])}
	}
	one, err := s.userMark(ctx, tenant, m.number, user)
	if err != nil {
		return "", err
	}
	m.users = append(slices.DeleteFunc(m.users, func(u string) bool { return u == one }), one)
	m.users = m.users[max(0, len(m.users)-deviceUsers):]
	return m.String(), nil
}

func deviceCookieName(r *http.Request) string {
	if web.Secure(r) {
		return deviceCookie
	}
	return deviceCookiePlain
}

// browserSays is the mark that the request brings; "": none.
func browserSays(r *http.Request) string {
	if found := r.CookiesNamed(deviceCookieName(r)); len(found) == 1 {
		return found[0].Value
	}
	return ""
}

// knowBrowser gives the browser the mark of a user who proved who they are in it. Signing out leaves it.
func (s *Service) knowBrowser(w http.ResponseWriter, r *http.Request, tenant int32, user int64) {
	mark, err := s.marked(r.Context(), tenant, user, browserSays(r))
	if err != nil {
		s.log.ErrorContext(r.Context(), "a browser was not marked", "kind", fault.KindOf(err).String())
		return
	}
	http.SetCookie(w, &http.Cookie{Name: deviceCookieName(r), Value: mark, Path: "/", Secure: web.Secure(r), HttpOnly: true, SameSite: http.SameSiteLaxMode,
		MaxAge: int(deviceLife / time.Second)})
}
