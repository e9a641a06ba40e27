package app

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"

	"github.com/nilecare/nilecare/internal/web"
)

// mayListen refuses an address that other machines reach, where nobody has to sign in, or passwords would cross the network in clear.
// safe says that nobody but this machine reaches it.
func (p *Program) mayListen(safe bool) error {
	plain := p.cfg.TLSCert == "" && len(p.cfg.ACMEHost) == 0
	switch {
	case safe:
		return nil
	case p.cfg.InsecureNoAuth:
		return fmt.Errorf("listen: %s can be reached from other machines, and insecure-no-auth would let whoever reaches it read and change every "+
			"patient's record; it is for 127.0.0.1 alone", p.cfg.Listen)
	case plain && !p.cfg.InsecureHTTP:
		return fmt.Errorf("listen: %s can be reached from other machines, and without TLS passwords and records would cross the network in clear. "+
			"Name a certificate (--tls-cert, --tls-key) or a host to get one for (--acme-host), or say --insecure-http if a proxy in front has TLS", p.cfg.Listen)
	case p.cfg.Demo != "off":
		return errors.New("demo: its accounts are for 127.0.0.1 alone; serve other machines without --demo")
	}
	return nil
}

// tls makes the server's TLS of the settings; nil where it is plain.
func (p *Program) tls(log *slog.Logger) (*tls.Config, io.Closer, error) {
	o := web.TLSOptions{CertFile: p.cfg.TLSCert, KeyFile: p.cfg.TLSKey, ClientCAFile: p.cfg.ClientCA, Log: log}
	if len(p.cfg.ACMEHost) > 0 {
		o.ACME = web.ACME{Domains: p.cfg.ACMEHost, Email: p.cfg.ACMEEmail, AcceptTerms: p.cfg.ACMETerms, Cache: filepath.Join(p.cfg.Data, "acme")}
	}
	switch p.cfg.ClientCerts {
	case "optional":
		o.ClientCerts = web.OptionalClientCerts
	case "required":
		o.ClientCerts = web.RequiredClientCerts
	}
	return web.TLSConfig(o)
}

// address is the base URL that clients use.
func (p *Program) address(listens string, secure bool) string {
	switch {
	case p.cfg.BaseURL != "":
		return p.cfg.BaseURL
	case secure:
		return "https://" + listens
	}
	return "http://" + listens
}
