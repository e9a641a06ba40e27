package webhook_test

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
	"pgregory.net/rapid"

	"github.com/nilecare/nilecare/internal/module/webhook"
)

func service(t testing.TB, networks ...string) *webhook.Service {
	t.Helper()
	o := webhook.Options{}
	for _, n := range networks {
		o.Networks = append(o.Networks, netip.MustParsePrefix(n))
	}
	s, err := webhook.New(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestOnlyPublicAddressesAreCalled(t *testing.T) {
	s := service(t)
	for _, a := range []string{"127.0.0.1", "127.9.9.9", "0.0.0.0", "0.1.2.3", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254", "169.254.1.1", "100.64.0.1",
		"100.127.255.255", "100.100.100.200", "192.0.0.1", "192.0.2.1", "192.88.99.1", "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1",
		"255.255.255.255", "168.63.129.16", "::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "::8.8.8.8", "64:ff9b::10.0.0.1", "64:ff9b::8.8.8.8",
		"64:ff9b:1::1", "100::1", "2001::1", "2001:0:4136:e378::1", "2001:db8::1", "2002:7f00:1::", "2002:808:808::1", "3fff::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%eth0", "fec0::1",
		"ff02::1", "ff0e::1", "4000::1", "5f00::1", "2606:4700::1%eth0"} {
		if s.Refusal(netip.MustParseAddr(a), false) == "" {
			t.Errorf("%s would be called", a)
		}
	}
	for _, a := range []string{"8.8.8.8", "1.1.1.1", "100.63.255.255", "100.128.0.1", "172.15.255.255", "172.32.0.1", "192.0.1.1", "::ffff:8.8.8.8", "2606:4700:4700::1111", "2a00:1450::1", "2001:4860:4860::8888", "2400::1"} {
		if why := s.Refusal(netip.MustParseAddr(a), false); why != "" {
			t.Errorf("%s would not be called: %s", a, why)
		}
		if s.Refusal(netip.MustParseAddr(a), true) == "" {
			t.Errorf("%s would be called by http", a)
		}
	}
	if s.Refusal(netip.Addr{}, false) == "" {
		t.Error("no address would be called")
	}
}

func TestTheOperatorAdmitsNetworksButNoCloudsOwnServices(t *testing.T) {
	s := service(t, "10.1.0.0/16", "fd00::/8", "169.254.0.0/16", "100.64.0.0/10")
	for _, a := range []string{"10.1.2.3", "::ffff:10.1.2.3", "fd00::1", "169.254.1.1", "100.64.0.1"} {
		for _, plain := range []bool{true, false} {
			if why := s.Refusal(netip.MustParseAddr(a), plain); why != "" {
				t.Errorf("%s: %s", a, why)
			}
		}
	}
	for _, a := range []string{"10.2.0.1", "127.0.0.1", "169.254.169.254", "fd00:ec2::254", "100.100.100.200", "::ffff:169.254.169.254"} {
		if s.Refusal(netip.MustParseAddr(a), false) == "" {
			t.Errorf("%s would be called", a)
		}
	}
}

// TestNoFormOfAnAddressGetsAround: whatever is refused as IPv4 is refused in every way to write it into IPv6, and nothing is called that Go itself takes for
// private, local or multicast.
func TestNoFormOfAnAddressGetsAround(t *testing.T) {
	s := service(t)
	rapid.Check(t, func(t *rapid.T) {
		var four [4]byte
		copy(four[:], rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "v4"))
		v4 := netip.AddrFrom4(four)
		if mapped := netip.AddrFrom16(v4.As16()); (s.Refusal(v4, false) == "") != (s.Refusal(mapped, false) == "") {
			t.Fatalf("%v and %v differ", v4, mapped)
		}
		var six [16]byte
		copy(six[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "v6"))
		for _, begin := range [][]byte{{0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0}, {0x20, 0x02}, make([]byte, 12), nil} {
			wrapped := six
			copy(wrapped[:], begin)
			if len(begin) == 12 {
				copy(wrapped[12:], four[:])
			}
			a := netip.AddrFrom16(wrapped)
			if begin != nil && s.Refusal(a, false) == "" {
				t.Fatalf("%v wraps %v and would be called", a, v4)
			}
			for _, one := range []netip.Addr{a, v4} {
				if u := one.Unmap(); s.Refusal(one, false) == "" && (u.IsPrivate() || u.IsLoopback() || u.IsLinkLocalUnicast() || u.IsMulticast() || u.IsUnspecified() || !u.IsGlobalUnicast()) {
					t.Fatalf("%v would be called", one)
				}
			}
		}
	})
}

// names answers every question for an address by the next of its answers; the last stays.
type names struct {
	conn    net.PacketConn
	answers []netip.Addr
	asked   atomic.Int64
}

func newNames(t testing.TB, answers ...string) *names {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	n := &names{conn: conn}
	for _, a := range answers {
		n.answers = append(n.answers, netip.MustParseAddr(a))
	}
	go n.serve()
	return n
}

func (n *names) serve() {
	buf := make([]byte, 1500)
	for {
		size, from, err := n.conn.ReadFrom(buf)
		if err != nil {
			return
		}
		var m dnsmessage.Message
		if m.Unpack(buf[:size]) != nil || len(m.Questions) != 1 {
			continue
		}
		m.Response, m.Additionals = true, nil
		if q := m.Questions[0]; q.Type == dnsmessage.TypeA {
			a := n.answers[min(int(n.asked.Add(1))-1, len(n.answers)-1)]
			m.Answers = []dnsmessage.Resource{{Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 0}, Body: &dnsmessage.AResource{A: a.As4()}}}
		}
		out, err := m.Pack()
		if err != nil {
			continue
		}
		_, _ = n.conn.WriteTo(out, from)
	}
}

func (n *names) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", n.conn.LocalAddr().String())
	}}
}

// TestANameThatComesToMeanAnotherAddressGainsNothing: a name that meant an admitted address when it was first called means one on this machine's loopback, then a
// cloud's metadata, and a private network: no connection is opened to any of them, although something listens there.
func TestANameThatComesToMeanAnotherAddressGainsNothing(t *testing.T) {
	inside := newReceiver(t, false)
	_, port, err := net.SplitHostPort(strings.TrimPrefix(inside.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	n := newNames(t, "127.0.0.2", "127.0.0.1", "169.254.169.254", "10.0.0.1")
	each(t, func(o *webhook.Options) {
		o.Networks, o.Resolver = []netip.Prefix{netip.MustParsePrefix("127.0.0.2/32")}, n.resolver()
		n.asked.Store(0)
	}, func(t *testing.T, w *world) {
		before := len(inside.requests())
		id, _ := w.hook("http://rebinding.example:"+port+"/", "*")
		// 127.0.0.2 is admitted, and nobody listens there.
		if a := w.want(200, "admin", "POST", root+"/"+id+"/ping", nil); a.text("data.reason") != "the receiver cannot be reached" {
			t.Errorf("%s", a.raw)
		}
		for _, why := range []string{"http is for networks that the operator admitted", "the address is one of a cloud's own services", "http is for networks that the operator admitted"} {
			if a := w.want(200, "admin", "POST", root+"/"+id+"/ping", nil); a.text("data.reason") != why {
				t.Errorf("want %q: %s", why, a.raw)
			}
		}
		secure, _ := w.hook("https://rebinding.example:"+port+"/", "*")
		if a := w.want(200, "admin", "POST", root+"/"+secure+"/ping", nil); a.text("data.reason") != "the address is not public" {
			t.Errorf("%s", a.raw)
		}
		if len(inside.requests()) != before || n.asked.Load() != 5 {
			t.Errorf("%d requests came in; the name was asked for %d times", len(inside.requests())-before, n.asked.Load())
		}
	})
}
