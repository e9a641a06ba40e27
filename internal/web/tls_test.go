package web_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nilecare/nilecare/internal/web"
)

// authority signs certificates of a test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t testing.TB, name string) *authority {
	t.Helper()
	a := &authority{}
	a.cert, a.key = issue(t, nil, &x509.Certificate{Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	return a
}

func issue(t testing.TB, by *authority, c *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if c.SerialNumber, err = rand.Int(rand.Reader, big.NewInt(1<<60)); err != nil {
		t.Fatal(err)
	}
	c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := c, key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	out, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return out, key
}

// server issues a certificate for 127.0.0.1 into two files.
func (a *authority) server(t testing.TB, certFile, keyFile, name string) {
	t.Helper()
	cert, key := issue(t, a, &x509.Certificate{Subject: pkix.Name{CommonName: name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	writePEM(t, certFile, "CERTIFICATE", cert.Raw)
	writePEM(t, keyFile, "EC PRIVATE KEY", der)
}

// client issues a certificate for a service.
func (a *authority) client(t testing.TB, name string) tls.Certificate {
	t.Helper()
	cert, key := issue(t, a, &x509.Certificate{Subject: pkix.Name{CommonName: name}, DNSNames: []string{name + ".internal"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key}
}

func writePEM(t testing.TB, file, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

// tlsServer serves by the program's own server, and returns its address.
func tlsServer(t testing.TB, o web.TLSOptions, h http.Handler) string {
	t.Helper()
	c, closer, err := web.TLSConfig(o)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := web.NewServer("", h, 0, o.Log)
	done := make(chan struct{})
	go func() { defer close(done); _ = web.Serve(s, l, c) }()
	t.Cleanup(func() { _ = s.Close(); <-done; _ = closer.Close() })
	return l.Addr().String()
}

// dial makes a new connection, asks, and returns the answer with the server's certificate.
func dial(addr string, c *tls.Config) (protocol, body, serverName string, err error) {
	tr := &http.Transport{TLSClientConfig: c, DisableKeepAlives: true, ForceAttemptHTTP2: true}
	defer tr.CloseIdleConnections()
	res, err := (&http.Client{Transport: tr}).Get("https://" + addr + "/")
	if err != nil {
		return "", "", "", err
	}
	b, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	return res.Proto, string(b), res.TLS.PeerCertificates[0].Subject.CommonName, err
}

func (a *authority) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.cert)
	return p
}

func TestTLSFilesAreReadAgain(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	ca := newAuthority(t, "authority")
	ca.server(t, cert, key, "first")
	at := &ticking{now: time.Now()}
	var log locked
	addr := tlsServer(t, web.TLSOptions{CertFile: cert, KeyFile: key, Clock: at.clock, Log: slog.New(slog.NewJSONHandler(&log, nil))},
		http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "served") }))
	expect := func(when, name string) {
		t.Helper()
		proto, body, got, err := dial(addr, &tls.Config{RootCAs: ca.pool()})
		if err != nil || proto != "HTTP/2.0" || body != "served" || got != name {
			t.Errorf("%s: %s %q from %s, %v", when, proto, body, got, err)
		}
	}
	expect("at first", "first")
	ca.server(t, cert, key, "the second one")
	at.add(3 * time.Second)
	expect("after a change", "the second one")
	if err := os.WriteFile(cert, []byte("half a file"), 0o600); err != nil {
		t.Fatal(err)
	}
	at.add(3 * time.Second)
	expect("while it is broken", "the second one")
	if !strings.Contains(log.String(), "TLS goes on with the files that were read before") {
		t.Errorf("the log: %s", log.String())
	}
	ca.server(t, cert, key, "the third certificate")
	at.add(3 * time.Second)
	expect("mended", "the third certificate")
}

type ticking struct {
	mu  sync.Mutex
	now time.Time
}

func (c *ticking) clock() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *ticking) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

type locked struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *locked) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestTLSVersionsAndSuites(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	ca := newAuthority(t, "authority")
	ca.server(t, cert, key, "server")
	h := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	both, only13 := tlsServer(t, web.TLSOptions{CertFile: cert, KeyFile: key}, h), tlsServer(t, web.TLSOptions{CertFile: cert, KeyFile: key, Only13: true}, h)
	for _, x := range []struct {
		name string
		addr string
		c    *tls.Config
		ok   bool
	}{
		{"1.3", both, &tls.Config{MinVersion: tls.VersionTLS13}, true},
		{"1.2", both, &tls.Config{MaxVersion: tls.VersionTLS12}, true},
		{"1.1", both, &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, false},
		{"1.2 with CBC alone", both, &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA}}, false},
		{"1.2 where 1.3 alone is served", only13, &tls.Config{MaxVersion: tls.VersionTLS12}, false},
		{"1.3 alone", only13, &tls.Config{}, true},
	} {
		x.c.RootCAs = ca.pool()
		if _, _, _, err := dial(x.addr, x.c); (err == nil) != x.ok {
			t.Errorf("%s: %v", x.name, err)
		}
	}
}

func TestMutualTLS(t *testing.T) {
	dir := t.TempDir()
	cert, key, clients := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), filepath.Join(dir, "clients.pem")
	ca, services, stranger := newAuthority(t, "authority"), newAuthority(t, "services"), newAuthority(t, "stranger")
	ca.server(t, cert, key, "server")
	writePEM(t, clients, "CERTIFICATE", services.cert.Raw)
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, ok := web.ClientCertificate(r)
		_, _ = fmt.Fprintf(w, "%v %s %d %v", ok, c.Subject, len(c.Fingerprint), c.Names)
	})
	at := &ticking{now: time.Now()}
	optional := tlsServer(t, web.TLSOptions{CertFile: cert, KeyFile: key, ClientCAFile: clients, ClientCerts: web.OptionalClientCerts, Clock: at.clock}, h)
	required := tlsServer(t, web.TLSOptions{CertFile: cert, KeyFile: key, ClientCAFile: clients, ClientCerts: web.RequiredClientCerts, Clock: at.clock}, h)
	lab, foreign := services.client(t, "lab"), stranger.client(t, "lab")
	const known = "true CN=lab 64 [lab.internal]"
	ask := func(addr string, with *tls.Certificate) string {
		c := &tls.Config{RootCAs: ca.pool()}
		if with != nil {
			// It is presented whatever authorities the server names.
			c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return with, nil }
		}
		_, body, _, err := dial(addr, c)
		if err != nil {
			return "refused"
		}
		return body
	}
	for _, x := range []struct {
		name, addr string
		with       *tls.Certificate
		want       string
	}{{"optional, ours", optional, &lab, known}, {"optional, none", optional, nil, "false  0 []"}, {"optional, a stranger's", optional, &foreign, "refused"},
		{"required, ours", required, &lab, known}, {"required, none", required, nil, "refused"}, {"required, a stranger's", required, &foreign, "refused"}} {
		if got := ask(x.addr, x.with); got != x.want {
			t.Errorf("%s: %q, want %q", x.name, got, x.want)
		}
	}
	// Who signs clients changes while serving.
	both := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: services.cert.Raw}), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: stranger.cert.Raw})...)
	if err := os.WriteFile(clients, both, 0o600); err != nil {
		t.Fatal(err)
	}
	at.add(3 * time.Second)
	if got := ask(required, &foreign); got != known {
		t.Errorf("after the authority was added: %q", got)
	}
	if got := ask(required, &lab); got != known {
		t.Errorf("the first one, after another was added: %q", got)
	}
}

func TestTLSOptionsThatContradict(t *testing.T) {
	dir := t.TempDir()
	cert, key, other, nothing := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), filepath.Join(dir, "other.pem"), filepath.Join(dir, "nothing.pem")
	ca := newAuthority(t, "authority")
	ca.server(t, cert, other, "server")
	ca.server(t, cert, key, "server")
	if err := os.WriteFile(nothing, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	acme := web.ACME{Domains: []string{"example.org"}, Cache: filepath.Join(dir, "acme"), AcceptTerms: true}
	unaccepted, uncached, wild, number := acme, acme, acme, acme
	unaccepted.AcceptTerms, uncached.Cache, wild.Domains, number.Domains = false, "", []string{"*.example.org"}, []string{"192.0.2.1"}
	for name, o := range map[string]web.TLSOptions{
		"a key alone":                 {KeyFile: key},
		"a certificate alone":         {CertFile: cert},
		"files that are not there":    {CertFile: filepath.Join(dir, "x"), KeyFile: key},
		"another's key":               {CertFile: cert, KeyFile: other},
		"files and ACME":              {CertFile: cert, KeyFile: key, ACME: acme},
		"clients without TLS":         {ClientCAFile: cert, ClientCerts: web.RequiredClientCerts},
		"clients without authorities": {CertFile: cert, KeyFile: key, ClientCerts: web.RequiredClientCerts},
		"authorities for nothing":     {CertFile: cert, KeyFile: key, ClientCAFile: cert},
		"an empty file of them":       {CertFile: cert, KeyFile: key, ClientCAFile: nothing, ClientCerts: web.OptionalClientCerts},
		"an odd word":                 {CertFile: cert, KeyFile: key, ClientCAFile: cert, ClientCerts: "maybe"},
		"terms not accepted":          {ACME: unaccepted},
		"no cache":                    {ACME: uncached},
		"a wildcard":                  {ACME: wild},
		"an address":                  {ACME: number},
	} {
		if c, _, err := web.TLSConfig(o); err == nil || c != nil {
			t.Errorf("%s is taken", name)
		}
	}
	if c, closer, err := web.TLSConfig(web.TLSOptions{}); c != nil || closer == nil || err != nil {
		t.Errorf("nothing: %v %v", c, err)
	}
	c, _, err := web.TLSConfig(web.TLSOptions{ACME: acme})
	if err != nil || c.MinVersion != tls.VersionTLS12 || strings.Join(c.NextProtos, " ") != "h2 http/1.1 acme-tls/1" {
		t.Errorf("%v %v", c, err)
	}
	if info, err := os.Stat(acme.Cache); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the cache: %v %v", info, err)
	}
}

func TestConnectionLogNamesNoPeer(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	newAuthority(t, "authority").server(t, cert, key, "server")
	var log locked
	addr := tlsServer(t, web.TLSOptions{CertFile: cert, KeyFile: key, Log: slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))}, http.NotFoundHandler())
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = c.Write(bytes.Repeat([]byte{0x80}, 64)) // no TLS
	_, _ = io.ReadAll(c)
	_ = c.Close()
	if text := log.String(); !strings.Contains(text, "TLS handshake error: ") || strings.Contains(text, "127.0.0.1") {
		t.Errorf("the log: %s", text)
	}
}

func TestRedirectToTLS(t *testing.T) {
	for port, want := range map[string]string{"": "https://example.org/x?y=1", "443": "https://example.org/x?y=1", "8443": "https://example.org:8443/x?y=1"} {
		h := web.RedirectToTLS(port)
		s := edge(t, web.Options{}, h)
		req, _ := http.NewRequest("POST", s.URL+"/x?y=1", nil)
		req.Host = "example.org:80"
		res, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != 308 || res.Header.Get("Location") != want {
			t.Errorf("%d %s", res.StatusCode, res.Header.Get("Location"))
		}
	}
}
