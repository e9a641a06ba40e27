package web

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"

	"github.com/nilecare/nilecare/internal/clock"
)

// ClientCerts says whether clients must prove by a certificate who they are.
type ClientCerts string

// What is asked of clients. Whatever certificate is presented must be signed by an authority of the file.
const (
	NoClientCerts       ClientCerts = ""         // none is asked for
	OptionalClientCerts ClientCerts = "optional" // asked for: services bring theirs, people none
	RequiredClientCerts ClientCerts = "required" // no connection without one
)

// ACME says how certificates are obtained by RFC 8555, by the challenge tls-alpn-01 (RFC 8737): the authority must reach this server on port
// 443 under each domain.
type ACME struct {
	Domains     []string // that certificates are asked for; a client that names another is refused
	Cache       string   // a folder of this server's own: account key and certificates, so that a restart asks for none
	Email       string   // for the authority's warnings
	Directory   string   // the authority's directory; "": Let's Encrypt's
	AcceptTerms bool     // the operator has accepted the authority's terms; else nothing is asked for
	Client      *http.Client
}

// TLSOptions says how connections are protected. Either files or ACME, not both.
type TLSOptions struct {
	CertFile, KeyFile string // PEM; read again when they change
	ACME              ACME
	ClientCAFile      string // PEM, one or several authorities of client certificates; read again when it changes
	ClientCerts       ClientCerts
	Only13            bool         // refuse TLS 1.2
	Log               *slog.Logger // of files that changed; nil: none
	Clock             clock.Clock  // nil: the machine's
}

// reloadEvery is how often, at most, it is looked whether files have changed.
const reloadEvery = 2 * time.Second

// suites are those of TLS 1.2: forward secret, authenticated encryption alone. TLS 1.3 has no others.
var suites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256}

// TLSConfig returns the configuration of a server, for [Serve], and what ends its watch over the files. Without certificate files and ACME
// it returns nil: the server is plain. It fails where files cannot be read, do not fit each other, or options contradict each other.
func TLSConfig(o TLSOptions) (*tls.Config, io.Closer, error) {
	files, auto := o.CertFile != "" || o.KeyFile != "", len(o.ACME.Domains) > 0
	switch {
	case !files && !auto && o.ClientCAFile == "" && o.ClientCerts == NoClientCerts:
		return nil, nothingToClose{}, nil
	case files == auto:
		return nil, nil, errors.New("tls: either a certificate's files or ACME's domains must be given, and not both")
	case files && (o.CertFile == "" || o.KeyFile == ""):
		return nil, nil, errors.New("tls: the certificate's file and its key's file are given together")
	case !slices.Contains([]ClientCerts{NoClientCerts, OptionalClientCerts, RequiredClientCerts}, o.ClientCerts):
		return nil, nil, fmt.Errorf("tls: client certificates are %q: want optional or required", o.ClientCerts)
	case (o.ClientCAFile == "") != (o.ClientCerts == NoClientCerts):
		return nil, nil, errors.New("tls: a file of client authorities and whether client certificates are optional or required are given together")
	}
	t := &tlsFiles{o: o, clock: o.Clock, log: o.Log}
	if t.clock == nil {
		t.clock = clock.System
	}
	if t.log == nil {
		t.log = slog.New(slog.DiscardHandler)
	}
	if auto {
		m, err := manager(o.ACME)
		if err != nil {
			return nil, nil, err
		}
		t.auto = m
	}
	t.stamps = t.stampsNow()
	if err := t.load(); err != nil {
		return nil, nil, err
	}
	outer := t.current.Clone()
	outer.GetConfigForClient = t.configFor
	return outer, nothingToClose{}, nil
}

// nothingToClose is for files that are looked at when a client comes: no watcher runs.
type nothingToClose struct{}

func (nothingToClose) Close() error { return nil }

func manager(a ACME) (*autocert.Manager, error) {
	switch {
	case !a.AcceptTerms:
		return nil, errors.New("tls: ACME: the authority's terms of service must be accepted first")
	case a.Cache == "":
		return nil, errors.New("tls: ACME: a folder for the cache must be given")
	}
	for _, d := range a.Domains {
		if d == "" || strings.ContainsAny(d, "*:/ ") || net.ParseIP(d) != nil {
			return nil, fmt.Errorf("tls: ACME: %q is no domain that a certificate can be asked for", d)
		}
	}
	if err := os.MkdirAll(a.Cache, 0o700); err != nil {
		return nil, fmt.Errorf("tls: ACME: the cache's folder: %w", err)
	}
	return &autocert.Manager{Prompt: autocert.AcceptTOS, Cache: autocert.DirCache(a.Cache), HostPolicy: autocert.HostWhitelist(a.Domains...),
		Email: a.Email, Client: &acme.Client{DirectoryURL: a.Directory, HTTPClient: a.Client, UserAgent: "nilecare"}}, nil
}

// tlsFiles is a configuration that follows its files.
type tlsFiles struct {
	o     TLSOptions
	clock clock.Clock
	log   *slog.Logger
	auto  *autocert.Manager

	mu        sync.Mutex
	looked    time.Time
	stamps    [3]stamp
	current   *tls.Config
	challenge *tls.Config // of ACME's own connections, which bring no certificate
}

// stamp tells one state of a file from the next.
type stamp struct {
	size    int64
	changed time.Time
}

func (t *tlsFiles) stampsNow() (out [3]stamp) {
	for i, name := range [3]string{t.o.CertFile, t.o.KeyFile, t.o.ClientCAFile} {
		if name == "" {
			continue
		}
		if info, err := os.Stat(name); err == nil {
			out[i] = stamp{info.Size(), info.ModTime()}
		}
	}
	return out
}

// load reads the files and makes the configuration anew.
func (t *tlsFiles) load() error {
	c := &tls.Config{MinVersion: tls.VersionTLS12, CipherSuites: suites, NextProtos: []string{"h2", "http/1.1"}}
	if t.o.Only13 {
		c.MinVersion = tls.VersionTLS13
	}
	if t.auto != nil {
		c.GetCertificate = t.auto.GetCertificate
		c.NextProtos = append(c.NextProtos, acme.ALPNProto)
	} else {
		pair, err := tls.LoadX509KeyPair(t.o.CertFile, t.o.KeyFile)
		if err != nil {
			return fmt.Errorf("tls: the certificate %s with the key %s: %w", t.o.CertFile, t.o.KeyFile, err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	t.challenge = c.Clone()
	if t.o.ClientCAFile != "" {
		pem, err := os.ReadFile(t.o.ClientCAFile)
		if err != nil {
			return fmt.Errorf("tls: the client authorities: %w", err)
		}
		c.ClientCAs = x509.NewCertPool()
		if !c.ClientCAs.AppendCertsFromPEM(pem) {
			return fmt.Errorf("tls: the client authorities: no certificate stands in %s", t.o.ClientCAFile)
		}
		c.ClientAuth = tls.VerifyClientCertIfGiven
		if t.o.ClientCerts == RequiredClientCerts {
			c.ClientAuth = tls.RequireAndVerifyClientCert
		}
	}
	t.current = c
	return nil
}

// configFor returns the configuration of one connection. Files that have changed and do not fit each other leave the last good one in
// force; they are looked at again when the next client comes.
func (t *tlsFiles) configFor(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now := t.clock(); now.Sub(t.looked) >= reloadEvery {
		t.looked = now
		if stamps := t.stampsNow(); stamps != t.stamps {
			if err := t.load(); err != nil {
				t.log.Error("TLS goes on with the files that were read before", "error", err.Error())
			} else {
				t.stamps = stamps
				t.log.Info("TLS files were read again")
			}
		}
	}
	if t.auto != nil && len(hello.SupportedProtos) == 1 && hello.SupportedProtos[0] == acme.ALPNProto {
		return t.challenge, nil
	}
	return t.current, nil
}

// Serve serves connections of the listener until the server is shut down, by TLS where a configuration is given.
func Serve(s *http.Server, l net.Listener, c *tls.Config) error {
	if c == nil {
		return s.Serve(l)
	}
	s.TLSConfig = c
	return s.ServeTLS(l, "", "")
}

// RedirectToTLS answers plain requests by sending the client to the same place by TLS, on port 443 or the one given.
func RedirectToTLS(port string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := r.Host
		if h, _, err := net.SplitHostPort(name); err == nil {
			name = h
		}
		if port != "" && port != "443" {
			name = net.JoinHostPort(name, port)
		}
		w.Header().Set("Connection", "close")
		http.Redirect(w, r, "https://"+name+r.URL.RequestURI(), http.StatusPermanentRedirect)
	})
}
