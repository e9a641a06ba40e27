package web_test

import (
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/nilecare/nilecare/internal/testfind"
	"github.com/nilecare/nilecare/internal/web"
)

// pebble is where Let's Encrypt's test authority is found: on the PATH, or where the project keeps its tools.
func pebble(t *testing.T) string {
	t.Helper()
	if p, err := exec.LookPath("pebble"); err == nil {
		return p
	}
	p := filepath.Join(testfind.Root(), ".cache", "bin", "pebble")
	if _, err := os.Stat(p); err != nil {
		t.Skip("pebble, an ACME authority, is not here: GOBIN=$PWD/.cache/bin go install github.com/letsencrypt/pebble/v2/cmd/pebble@v2.10.1")
	}
	return p
}

// names serves DNS by TCP, as pebble asks it: every name is this machine.
func names(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	t.Cleanup(func() { _ = l.Close(); all.Wait() })
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				_ = c.SetDeadline(time.Now().Add(10 * time.Second))
				for answerDNS(c) == nil {
				}
			})
		}
	})
	return l.Addr().String()
}

// answerDNS answers one question: RFC 1035 section 4.2.2 puts its length before it.
func answerDNS(c io.ReadWriter) error {
	var length [2]byte
	if _, err := io.ReadFull(c, length[:]); err != nil {
		return err
	}
	question := make([]byte, binary.BigEndian.Uint16(length[:]))
	if _, err := io.ReadFull(c, question); err != nil {
		return err
	}
	var m dnsmessage.Message
	if err := m.Unpack(question); err != nil {
		return err
	}
	m.Response, m.RecursionAvailable, m.Additionals = true, true, nil
	for _, q := range m.Questions {
		if q.Type == dnsmessage.TypeA {
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: 1}, Body: &dnsmessage.AResource{A: [4]byte{127, 0, 0, 1}}})
		}
	}
	out, err := m.AppendPack(make([]byte, 2, 512))
	if err != nil {
		return err
	}
	binary.BigEndian.PutUint16(out, uint16(len(out)-2)) // #nosec G115 -- it is short
	_, err = c.Write(out)
	return err
}

// TestACME obtains a certificate from a real authority by a real challenge, while clients must bring certificates; a restart takes it from the
// cache, without the authority.
func TestACME(t *testing.T) {
	program, dir, ca, services := pebble(t), t.TempDir(), newAuthority(t, "authority of the authority"), newAuthority(t, "services")
	cert, key, config, clients := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), filepath.Join(dir, "pebble.json"), filepath.Join(dir, "clients.pem")
	ca.server(t, cert, key, "pebble")
	writePEM(t, clients, "CERTIFICATE", services.cert.Raw)
	ours, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	theirs := free(t)
	text, err := json.Marshal(map[string]any{"pebble": map[string]any{"listenAddress": theirs, "managementListenAddress": free(t), "certificate": cert, "privateKey": key,
		"httpPort": 5002, "tlsPort": ours.Addr().(*net.TCPAddr).Port, "profiles": map[string]any{"default": map[string]any{"description": "test", "validityPeriod": 7776000}}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(config, text, 0o600); err != nil {
		t.Fatal(err)
	}
	var log locked
	cmd := exec.CommandContext(t.Context(), program, "-config", config, "-dnsserver", names(t), "-strict")
	cmd.Env = append(os.Environ(), "PEBBLE_VA_NOSLEEP=1")
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop := func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }
	defer func() {
		stop()
		if t.Failed() {
			t.Log(log.String())
		}
	}()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: ca.pool()}}}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if res, err := client.Get("https://" + theirs + "/dir"); err == nil {
			_ = res.Body.Close()
			break
		} else if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	options := web.TLSOptions{ClientCAFile: clients, ClientCerts: web.RequiredClientCerts,
		ACME: web.ACME{Domains: []string{"clinic.example.org"}, Cache: filepath.Join(dir, "cache"), Directory: "https://" + theirs + "/dir", AcceptTerms: true, Client: client}}
	lab := services.client(t, "lab")
	serial, err := served(t, ours, options, "clinic.example.org", lab)
	if err != nil || serial == "" {
		t.Fatalf("%q %v", serial, err)
	}
	if _, err := served(t, relisten(t, ours), options, "another.example.org", lab); err == nil {
		t.Error("a domain that nobody gave was served")
	}
	stop()
	again, err := served(t, relisten(t, ours), options, "clinic.example.org", lab)
	if err != nil || again != serial {
		t.Errorf("after a restart: %q, want %q, %v", again, serial, err)
	}
}

func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func relisten(t *testing.T, old net.Listener) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", old.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// served starts the server, asks it once under a name, stops it, and returns the serial number of its certificate.
func served(t *testing.T, l net.Listener, o web.TLSOptions, name string, with tls.Certificate) (serial string, err error) {
	t.Helper()
	c, _, err := web.TLSConfig(o)
	if err != nil {
		t.Fatal(err)
	}
	s := web.NewServer("", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "served") }), 0, nil)
	done := make(chan struct{})
	go func() { defer close(done); _ = web.Serve(s, l, c) }()
	defer func() { _ = s.Close(); <-done }()
	// The authority's root is made anew at each start: that it is the certificate's, its name says.
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 60 * time.Second}, "tcp", l.Addr().String(), &tls.Config{ServerName: name, Certificates: []tls.Certificate{with},
		InsecureSkipVerify: true, VerifyConnection: func(s tls.ConnectionState) error {
			return s.PeerCertificates[0].VerifyHostname(name)
		}}) // #nosec G402 -- see above
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: "+name+"\r\nConnection: close\r\n\r\n"); err != nil {
		return "", err
	}
	if _, err := io.ReadAll(conn); err != nil {
		return "", err
	}
	leaf := conn.ConnectionState().PeerCertificates[0]
	return leaf.SerialNumber.String(), nil
}
