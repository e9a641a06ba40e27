package identity_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"io"
	"math/big"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/module/identity"
)

// smtpServer is a mail server on loopback that speaks what of RFC 5321 a submission needs.
type smtpServer struct {
	address  string
	secure   *tls.Config // for STARTTLS; nil: it has none
	implicit bool
	refuse   string // what it says to RCPT; "": 250
	mu       sync.Mutex
	got      []string // messages
	from, to string
	auth     string
	inTLS    bool
}

func serveSMTP(t *testing.T, s *smtpServer) *smtpServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return serveOn(t, l, s)
}

func serveOn(t *testing.T, l net.Listener, s *smtpServer) *smtpServer {
	t.Helper()
	s.address = l.Addr().String()
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go s.talk(c)
		}
	}()
	return s
}

func (s *smtpServer) talk(c net.Conn) {
	defer func() { _ = c.Close() }()
	encrypted := s.implicit
	if s.implicit {
		c = tls.Server(c, s.secure)
	}
	in := bufio.NewReader(c)
	say := func(line string) { _, _ = io.WriteString(c, line+"\r\n") }
	say("220 loopback")
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		verb := strings.ToUpper(line)
		s.mu.Lock()
		switch {
		case strings.HasPrefix(verb, "EHLO"):
			if s.secure != nil && !encrypted {
				say("250-loopback\r\n250 STARTTLS")
			} else {
				say("250-loopback\r\n250 AUTH PLAIN")
			}
		case verb == "STARTTLS":
			say("220 go")
			t := tls.Server(c, s.secure)
			c, in, encrypted = t, bufio.NewReader(t), true
		case strings.HasPrefix(verb, "AUTH PLAIN "):
			b, _ := base64.StdEncoding.DecodeString(line[11:])
			s.auth = string(b)
			say("235 in")
		case strings.HasPrefix(verb, "MAIL FROM:"):
			s.from = line[10:]
			say("250 ok")
		case strings.HasPrefix(verb, "RCPT TO:"):
			s.to = line[8:]
			if s.refuse != "" {
				say(s.refuse)
			} else {
				say("250 ok")
			}
		case verb == "DATA":
			say("354 go")
			var b strings.Builder
			for {
				l, err := in.ReadString('\n')
				if err != nil || l == ".\r\n" {
					break
				}
				b.WriteString(strings.TrimPrefix(l, "."))
			}
			s.got, s.inTLS = append(s.got, b.String()), encrypted
			say("250 taken")
		case verb == "QUIT":
			say("221 bye")
		default:
			say("500 what")
		}
		s.mu.Unlock()
	}
}

func certificate(t *testing.T) (*tls.Config, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "loopback"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, pool
}

// TestSMTP: a letter arrives whole, over an encrypted connection where there is one, and a server whose certificate nobody trusts gets none.
func TestSMTP(t *testing.T) {
	secure, pool := certificate(t)
	const subject, text = "اختيار كلمة مرور جديدة", "A line.\n.\nاختيار كلمة\n..two dots and a line that is longer than the seventy-six characters of an encoded line\n"
	for name, x := range map[string]struct {
		server *smtpServer
		o      identity.SMTP
		inTLS  bool
		fails  bool
	}{
		"plain on loopback":  {server: &smtpServer{}},
		"STARTTLS":           {server: &smtpServer{secure: secure}, o: identity.SMTP{Roots: pool}, inTLS: true},
		"STARTTLS, unknown":  {server: &smtpServer{secure: secure}, fails: true},
		"implicit":           {server: &smtpServer{secure: secure, implicit: true}, o: identity.SMTP{Roots: pool, TLS: true}, inTLS: true},
		"implicit, unknown":  {server: &smtpServer{secure: secure, implicit: true}, o: identity.SMTP{TLS: true}, fails: true},
		"TLS asked, not had": {server: &smtpServer{}, o: identity.SMTP{TLS: true}, fails: true},
		"with a password":    {server: &smtpServer{secure: secure}, o: identity.SMTP{Roots: pool, User: "clinic", Password: "a test value"}, inTLS: true},
		"refused":            {server: &smtpServer{refuse: "550 no such mailbox"}, fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			s := serveSMTP(t, x.server)
			x.o.Address, x.o.From = s.address, "Clinic <no-reply@clinic.example>"
			mailer, err := identity.NewSMTP(x.o)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			err = mailer.Send(ctx, "nurse@example.org", subject, text)
			s.mu.Lock()
			defer s.mu.Unlock()
			if x.fails {
				if err == nil || len(s.got) != 0 {
					t.Errorf("%v, %d letters", err, len(s.got))
				}
				return
			}
			if err != nil || len(s.got) != 1 || s.inTLS != x.inTLS {
				t.Fatalf("%v, %d letters, encrypted: %t", err, len(s.got), s.inTLS)
			}
			if s.from != "<no-reply@clinic.example>" || s.to != "<nurse@example.org>" || x.o.User != "" && s.auth != "\x00clinic\x00a test value" {
				t.Errorf("%q %q %q", s.from, s.to, s.auth)
			}
			msg, err := mail.ReadMessage(strings.NewReader(s.got[0]))
			if err != nil {
				t.Fatal(err)
			}
			said, err := new(mime.WordDecoder).DecodeHeader(msg.Header.Get("Subject"))
			if err != nil || said != subject || msg.Header.Get("Message-Id") == "" {
				t.Errorf("%q %v", said, err)
			}
			if _, err := msg.Header.Date(); err != nil {
				t.Error(err)
			}
			body, err := io.ReadAll(quotedprintable.NewReader(msg.Body))
			if got := strings.ReplaceAll(string(body), "\r\n", "\n"); err != nil || strings.TrimRight(got, "\n") != strings.TrimRight(text, "\n") {
				t.Errorf("%q %v", got, err)
			}
		})
	}
}

// TestSMTPRefuses: nothing that adds lines to a header or a command goes out, and no server away from here without encryption gets a letter.
func TestSMTPRefuses(t *testing.T) {
	for _, o := range []identity.SMTP{{}, {Address: ":25", From: "a@b.example"}, {Address: "mail.example:25"}, {Address: "mail.example:25", From: "a@b.example\r\nBcc: x@y.example"}} {
		if _, err := identity.NewSMTP(o); !fault.Is(err, fault.Invalid) {
			t.Errorf("%+v: %v", o, err)
		}
	}
	for _, address := range []string{"mail.example", "mail.example:2525", "::1", "[::1]:25"} {
		if _, err := identity.NewSMTP(identity.SMTP{Address: address, From: "a@b.example"}); err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
	s := serveSMTP(t, &smtpServer{})
	mailer, err := identity.NewSMTP(identity.SMTP{Address: s.address, From: "a@b.example"})
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range [][2]string{{"a@b.example\r\nBcc: x@y.example", "s"}, {"a@b.example", "s\nBcc: x@y.example"}, {"a@b.example>\r\nRCPT TO:<x@y.example", "s"}, {"", "s"},
		{"A <a@b.example>", "s"}, {"a@b.example, c@d.example", "s"}} {
		if err := mailer.Send(t.Context(), x[0], x[1], "text"); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: %v", x, err)
		}
	}
	if len(s.got) != 0 {
		t.Errorf("%q", s.got)
	}
}

// TestSMTPInClear: a server that is not on this machine gets no letter over a connection that everybody reads.
func TestSMTPInClear(t *testing.T) {
	here, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range here {
		ip, ok := a.(*net.IPNet)
		if !ok || ip.IP.IsLoopback() || ip.IP.To4() == nil {
			continue
		}
		l, err := net.Listen("tcp", net.JoinHostPort(ip.IP.String(), "0"))
		if err != nil {
			continue
		}
		s := serveOn(t, l, &smtpServer{})
		mailer, err := identity.NewSMTP(identity.SMTP{Address: s.address, From: "a@b.example"})
		if err != nil {
			t.Fatal(err)
		}
		if err := mailer.Send(t.Context(), "nurse@example.org", "s", "text"); !fault.Is(err, fault.Unavailable) {
			t.Errorf("%v", err)
		}
		return
	}
	t.Skip("this machine has no address but its own")
}
