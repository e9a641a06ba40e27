package peer

import (
	"context"
	"crypto/sha256"
	"net/http"
)

// Inbound is what of a caller's request goes along with requests that are made for it.
type Inbound struct {
	Header http.Header
	Host   string // names the tenant, and is what absolute URLs are made of
	Prefix string // of the tenant's addresses: "/t/2"; ""
}

type inboundKey struct{}

// With returns ctx for requests that are made for the caller of in: [Client] gives them the caller's credentials, host and tenant.
func With(ctx context.Context, in Inbound) context.Context {
	return context.WithValue(ctx, inboundKey{}, &in)
}

// credentials are the headers by which a caller says who it is.
var credentials = []string{"Authorization", "Cookie", "X-Api-Key", "X-Service-Api-Key"}

// along are other headers that belong to the caller and not to what is asked.
var along = []string{"X-Purpose-Of-Use", "X-Tenant-Id", "Accept-Language", "User-Agent", "X-Forwarded-For", "X-Forwarded-Proto"}

// carry gives a request that is made for a caller what belongs to the caller.
func carry(ctx context.Context, out *http.Request) {
	in, _ := ctx.Value(inboundKey{}).(*Inbound)
	if in == nil {
		return
	}
	own := false
	for _, name := range credentials {
		own = own || len(out.Header[name]) > 0
	}
	if !own {
		copyHeaders(out.Header, in.Header, credentials)
	}
	copyHeaders(out.Header, in.Header, along)
	if in.Host != "" {
		out.Host = in.Host
	}
	if in.Prefix != "" {
		out.URL.Path = in.Prefix + out.URL.Path
		if out.URL.RawPath != "" {
			out.URL.RawPath = in.Prefix + out.URL.RawPath
		}
	}
}

func copyHeaders(to, from http.Header, names []string) {
	for _, name := range names {
		if v := from[name]; len(v) > 0 && len(to[name]) == 0 {
			to[name] = v
		}
	}
}

type stickyKey struct{}

// Sticky returns ctx for a request that belongs to others of the same key: as long as the same addresses are ready, the same one gets them.
func Sticky(ctx context.Context, key string) context.Context {
	return context.WithValue(ctx, stickyKey{}, []byte(key))
}

func sticky(ctx context.Context) []byte {
	key, _ := ctx.Value(stickyKey{}).([]byte)
	return key
}

// weight orders addresses for a key (rendezvous hashing): when one comes or goes, only its own keys move.
func weight(key []byte, host string) []byte {
	sum := sha256.Sum256(append(append([]byte{}, key...), host...))
	return sum[:]
}
