package app

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/nilecare/nilecare/internal/app/config"
)

// shape is which of the services a process is. The zero shape is all of them.
type shape struct {
	names []string // in the order of the table; none: all
}

// runs reports that the process is the service.
func (s shape) runs(name string) bool { return len(s.names) == 0 || slices.Contains(s.names, name) }

// split reports that other services stand elsewhere.
func (s shape) split() bool { return len(s.names) > 0 }

// gateway reports the process without a database.
func (s shape) gateway() bool { return len(s.names) == 1 && s.names[0] == gatewayService }

// String names the services.
func (s shape) String() string {
	if !s.split() {
		return "all"
	}
	return strings.Join(s.names, ",")
}

func serviceNames() []string {
	var out []string
	for _, s := range services() {
		out = append(out, s.name)
	}
	return out
}

func unknownService(setting, name string) error {
	return &config.UsageError{Text: fmt.Sprintf("%s: there is no service %s: the nearest known one is %s; there are all, %s", setting, name, config.Nearest(name, serviceNames()), strings.Join(serviceNames(), ", "))}
}

// shapeOf reads --target and says what does not go together.
func shapeOf(c *config.Config) (shape, error) {
	chosen := map[string]bool{}
	for _, name := range c.Target {
		if name == "all" {
			if len(c.Target) > 1 {
				return shape{}, &config.UsageError{Text: "target: all is all: name it alone"}
			}
			continue
		}
		s, ok := serviceOf(name)
		if !ok {
			return shape{}, unknownService("target", name)
		}
		chosen[s.name] = true
	}
	s := shape{}
	for _, one := range services() {
		if chosen[one.name] {
			s.names = append(s.names, one.name)
		}
	}
	switch {
	case !s.split():
		return s, nil
	case chosen[gatewayService] && len(chosen) > 1:
		return shape{}, errors.New("target: the gateway opens no database, and the other services do: run it as a process of its own, or everything by --target=all")
	case c.Database == "" && !s.gateway():
		return shape{}, fmt.Errorf("target: %s alone needs PostgreSQL (--database), since several processes cannot share the embedded database; without --target everything runs in one process", s)
	case c.BaseURL == "":
		return shape{}, errors.New("target: split services need --base-url, the address that clients use, which must be the same for all of them: tokens name it")
	case c.Demo != "off":
		return shape{}, errors.New("demo: the synthetic hospital is loaded by --target=all; do that once, and split then")
	}
	return s, nil
}

// ports reads the setting ports: SERVICE=PORT.
func ports(c *config.Config) (map[string]int, error) {
	out := map[string]int{}
	for _, s := range services() {
		out[s.name] = s.port
	}
	for _, one := range c.Ports {
		name, text, ok := strings.Cut(one, "=")
		s, known := serviceOf(strings.TrimSpace(name))
		n, err := strconv.Atoi(strings.TrimSpace(text))
		switch {
		case !ok || err != nil || n < 0 || n > 65535:
			return nil, &config.UsageError{Text: "ports: must be SERVICE=PORT, such as clinical=7101, with commas between them"}
		case !known:
			return nil, unknownService("ports", name)
		}
		out[s.name] = n
	}
	return out, nil
}

// listens are the addresses that the process serves on: that of --listen where it is everything, else one a service, on its host.
func (s shape) listens(c *config.Config) ([]string, error) {
	if !s.split() {
		return []string{c.Listen}, nil
	}
	at, err := ports(c)
	if err != nil {
		return nil, err
	}
	host, _, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	var out []string
	for _, name := range s.names {
		out = append(out, net.JoinHostPort(host, strconv.Itoa(at[name])))
	}
	return out, nil
}

// peerURLs are the addresses of each service: those of the setting peers (SERVICE=URL, several with | between them), else the service's port on the host of --listen.
func peerURLs(c *config.Config) (map[string][]string, error) {
	at, err := ports(c)
	if err != nil {
		return nil, err
	}
	host, _, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1" // that is: every address of this machine
	}
	scheme := "http"
	if c.TLSCert != "" {
		scheme = "https"
	}
	out := map[string][]string{}
	for name, port := range maps.All(at) {
		if name != gatewayService {
			out[name] = []string{scheme + "://" + net.JoinHostPort(host, strconv.Itoa(port))}
		}
	}
	for _, one := range c.Peers {
		name, list, ok := strings.Cut(one, "=")
		s, known := serviceOf(strings.TrimSpace(name))
		switch {
		case !ok:
			return nil, &config.UsageError{Text: "peers: must be SERVICE=URL, several URLs with | between them, such as clinical=http://10.0.0.7:7001|http://10.0.0.8:7001"}
		case !known:
			return nil, unknownService("peers", name)
		case s.name == gatewayService:
			return nil, &config.UsageError{Text: "peers: nobody asks the gateway"}
		}
		out[s.name] = nil
		for u := range strings.SplitSeq(list, "|") {
			out[s.name] = append(out[s.name], strings.TrimSpace(u))
		}
	}
	return out, nil
}
