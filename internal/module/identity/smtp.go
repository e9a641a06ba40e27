package identity

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"net/smtp"
	"strings"
	"time"
	"unicode"

	"github.com/nilecare/nilecare/internal/clock"
	"github.com/nilecare/nilecare/internal/fault"
)

// SMTP says by which server mail goes out.
type SMTP struct {
	Address        string         // host:port; without a port it is 465 with TLS, else 587
	From           string         // "Clinic <no-reply@clinic.example>"
	User, Password string         // "": the server asks for none
	TLS            bool           // encrypted from the first byte (RFC 8314, port 465); else STARTTLS (port 587), which only a server on this machine may lack
	Roots          *x509.CertPool // who vouches for the server; nil: whom the machine trusts
	Clock          clock.Clock    // nil: the machine's
}

type smtpMailer struct {
	o    SMTP
	host string
	from *mail.Address
}

// NewSMTP returns a mailer that hands each letter to the server. Invalid where address or sender cannot be read.
func NewSMTP(o SMTP) (Mailer, error) {
	if _, _, err := net.SplitHostPort(o.Address); err != nil && o.Address != "" {
		port := "587"
		if o.TLS {
			port = "465"
		}
		o.Address = net.JoinHostPort(strings.Trim(o.Address, "[]"), port)
	}
	host, port, err := net.SplitHostPort(o.Address)
	if err != nil || host == "" || port == "" {
		return nil, fault.At(fault.Invalid, "address", "must be host:port")
	}
	from, err := mail.ParseAddress(o.From)
	if err != nil || strings.ContainsFunc(o.From, unicode.IsControl) {
		return nil, fault.At(fault.Invalid, "from", "must be an e-mail address")
	}
	if o.Clock == nil {
		o.Clock = clock.System
	}
	return &smtpMailer{o: o, host: host, from: from}, nil
}

// Send returns once the server has taken the letter. Invalid where the address or the subject would add lines to the header; Unavailable where the
// server offers no encryption.
func (m *smtpMailer) Send(ctx context.Context, to, subject, text string) error {
	address, err := mail.ParseAddress(to)
	if err != nil || address.Address != to || strings.ContainsFunc(to, unicode.IsControl) {
		return fault.At(fault.Invalid, "to", "must be an e-mail address")
	}
	if strings.ContainsFunc(subject, unicode.IsControl) {
		return fault.At(fault.Invalid, "subject", "has control characters")
	}
	message, err := m.message(address, subject, text)
	if err != nil {
		return err
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", m.o.Address)
	if err != nil {
		return err
	}
	// Whatever blocks ends with ctx.
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline)
	}
	if err := m.hand(ctx, conn, address.Address, message); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return err
	}
	return nil
}

// hand speaks SMTP (RFC 5321) on the connection, which it closes.
func (m *smtpMailer) hand(ctx context.Context, conn net.Conn, to string, message []byte) error {
	secure := &tls.Config{ServerName: m.host, MinVersion: tls.VersionTLS12, RootCAs: m.o.Roots}
	if m.o.TLS {
		t := tls.Client(conn, secure)
		if err := t.HandshakeContext(ctx); err != nil {
			_ = conn.Close()
			return err
		}
		conn = t
	}
	c, err := smtp.NewClient(conn, m.host)
	if err != nil {
		_ = conn.Close()
		return err
	}
	defer func() { _ = c.Close() }()
	if err := m.protect(c, secure); err != nil {
		return err
	}
	if m.o.User != "" {
		if err := c.Auth(smtp.PlainAuth("", m.o.User, m.o.Password, m.host)); err != nil {
			return err
		}
	}
	if err := c.Mail(m.from.Address); err != nil {
		return err
	}
	if err := c.Rcpt(to); err != nil {
		return err
	}
	body, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := body.Write(message); err != nil {
		return err
	}
	if err := body.Close(); err != nil {
		return err
	}
	_ = c.Quit() // the letter is taken
	return nil
}

// protect turns on encryption where the connection has none.
func (m *smtpMailer) protect(c *smtp.Client, secure *tls.Config) error {
	if m.o.TLS {
		return nil
	}
	offered, _ := c.Extension("STARTTLS")
	switch {
	case offered:
		return c.StartTLS(secure)
	case isLoopback(m.host):
		return nil
	}
	return fault.New(fault.Unavailable, "the mail server offers no encryption (STARTTLS)")
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// message is the letter as RFC 5322 has it.
func (m *smtpMailer) message(to *mail.Address, subject, text string) ([]byte, error) {
	var id [16]byte
	_, _ = rand.Read(id[:]) // it never fails
	_, domain, _ := strings.Cut(m.from.Address, "@")
	var b bytes.Buffer
	for _, line := range [][2]string{
		{"From", m.from.String()}, {"To", to.String()}, {"Subject", mime.QEncoding.Encode("utf-8", subject)},
		{"Date", m.o.Clock().UTC().Format(time.RFC1123Z)}, {"Message-ID", "<" + hex.EncodeToString(id[:]) + "@" + domain + ">"},
		{"Auto-Submitted", "auto-generated"}, {"MIME-Version", "1.0"}, {"Content-Type", "text/plain; charset=utf-8"},
		{"Content-Transfer-Encoding", "quoted-printable"},
	} {
		b.WriteString(line[0] + ": " + line[1] + "\r\n")
	}
	b.WriteString("\r\n")
	q := quotedprintable.NewWriter(&b)
	if _, err := q.Write([]byte(strings.ReplaceAll(text, "\n", "\r\n"))); err != nil {
		return nil, err
	}
	return b.Bytes(), q.Close()
}
