package oauth

import (
	"context"
	"crypto/ecdsa"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"syscall"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwk"

	"github.com/nilecare/nilecare/internal/clock"
)

// The bounds on fetching a client's keys.
const (
	maxKeyBytes   = 64 << 10
	keyTimeout    = 5 * time.Second
	keyFresh      = 10 * time.Minute // how long a fetched set is taken as it is
	keyPause      = time.Minute      // how long until it is fetched again for a key that it does not have, or after a failure
	maxKeySets    = 1000
	maxKeyJourney = 3 // redirects
)

// checkKeyURL says why keys are not fetched from the URL; "" where they are.
func checkKeyURL(raw string, loopback bool) string {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" || len(raw) > 2000 {
		return "it is not an absolute URL"
	}
	if u.Scheme == "https" || u.Scheme == "http" && loopback && isLoopbackHost(u.Hostname()) {
		return ""
	}
	return "it must be https"
}

// keyFetcher fetches key sets that clients keep at a jwks_uri, and holds them. A fetch goes to public addresses alone, whatever a name is
// resolved to and wherever a redirect leads.
type keyFetcher struct {
	loopback bool
	now      clock.Clock
	client   *http.Client
	mu       sync.Mutex
	sets     map[string]*keySet
}

type keySet struct {
	mu      sync.Mutex
	set     jwk.Set
	err     error
	fetched time.Time
}

func newKeyFetcher(loopback bool, now clock.Clock) *keyFetcher {
	k := &keyFetcher{loopback: loopback, now: now, sets: map[string]*keySet{}}
	dialer := &net.Dialer{Timeout: keyTimeout, Control: k.admit}
	k.client = &http.Client{
		Timeout: keyTimeout,
		Transport: &http.Transport{DialContext: dialer.DialContext, TLSHandshakeTimeout: keyTimeout, ResponseHeaderTimeout: keyTimeout,
			MaxResponseHeaderBytes: 16 << 10, DisableKeepAlives: true, ForceAttemptHTTP2: true},
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if len(via) >= maxKeyJourney {
				return errors.New("too many redirects")
			}
			if why := checkKeyURL(r.URL.String(), loopback); why != "" {
				return errors.New("a redirect to a URL from which keys are not fetched: " + why)
			}
			return nil
		},
	}
	return k
}

// admit is asked with the address that is really dialled, after names were resolved.
func (k *keyFetcher) admit(_, address string, _ syscall.RawConn) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	ip := ap.Addr().Unmap()
	if ip.IsLoopback() && k.loopback {
		return nil
	}
	if !isPublicAddress(ip) {
		return errors.New("not a public address")
	}
	return nil
}

// isPublicAddress reports an address of the public internet (RFC 6890 and its registry), other than those that are inside a house, or that
// lead there by translation.
func isPublicAddress(ip netip.Addr) bool {
	if !ip.IsValid() || !ip.IsGlobalUnicast() || ip.IsPrivate() || ip.IsLoopback() || ip.IsLinkLocalUnicast() {
		return false
	}
	for _, p := range [...]string{"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
		"240.0.0.0/4", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16", "fec0::/10", "::/96"} {
		if netip.MustParsePrefix(p).Contains(ip) {
			return false
		}
	}
	return true
}

// keys returns the set behind a URL. want is the key that is looked for: where the set that is held does not have it, it is fetched again,
// but not more than once a minute.
func (k *keyFetcher) keys(ctx context.Context, tenant int32, uri, want string) (jwk.Set, error) {
	e := k.entry(fmt.Sprintf("%d %s", tenant, uri))
	e.mu.Lock()
	defer e.mu.Unlock()
	age := k.now().Sub(e.fetched)
	if e.fetched.IsZero() || age >= keyFresh || age >= keyPause && !e.has(want) {
		set, err := k.fetch(ctx, uri)
		e.fetched, e.err = k.now(), err
		if err == nil || age >= keyFresh {
			e.set = set
		}
	}
	if e.set == nil {
		return nil, e.err
	}
	return e.set, nil
}

func (e *keySet) has(kid string) bool {
	if e.set == nil {
		return false
	}
	_, ok := e.set.LookupKeyID(kid)
	return ok
}

func (k *keyFetcher) entry(name string) *keySet {
	k.mu.Lock()
	defer k.mu.Unlock()
	e := k.sets[name]
	if e == nil {
		if len(k.sets) >= maxKeySets {
			clear(k.sets)
		}
		e = &keySet{}
		k.sets[name] = e
	}
	return e
}

func (k *keyFetcher) fetch(ctx context.Context, uri string) (jwk.Set, error) {
	if why := checkKeyURL(uri, k.loopback); why != "" {
		return nil, errors.New(why)
	}
	// The first to ask fetches for all who wait: their set must not depend on whether its client stays.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keyTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, uri, http.NoBody)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", "application/jwk-set+json, application/json")
	resp, err := k.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the answer has status %d", resp.StatusCode)
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxKeyBytes+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxKeyBytes {
		return nil, errors.New("the key set is too large")
	}
	return usable(b)
}

// usable parses a fetched set and keeps the keys that can verify an assertion: a set may have others beside them.
func usable(b []byte) (jwk.Set, error) {
	all, err := jwk.Parse(b)
	if err != nil {
		return nil, err
	}
	set := jwk.NewSet()
	for i := range min(all.Len(), maxKeys) {
		if k, _ := all.Key(i); checkKey(k) == nil {
			if err := set.AddKey(k); err != nil {
				return nil, err
			}
		}
	}
	return set, nil
}

// fits reports that a key is of the algorithm's kind, and not meant for anything else.
func fits(k jwk.Key, alg string) bool {
	if use, ok := k.KeyUsage(); ok && use != "" && use != "sig" {
		return false
	}
	if a, ok := k.Algorithm(); ok && a.String() != "" && a.String() != alg {
		return false
	}
	var raw any
	if err := jwk.Export(k, &raw); err != nil {
		return false
	}
	switch key := raw.(type) {
	case *rsa.PublicKey:
		return alg == "RS256" || alg == "RS384"
	case *ecdsa.PublicKey:
		curve := key.Curve.Params().Name
		return alg == "ES256" && curve == "P-256" || alg == "ES384" && curve == "P-384"
	}
	return false
}
