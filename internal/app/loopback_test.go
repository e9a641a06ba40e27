package app

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestLoopback(t *testing.T) {
	for listen, want := range map[string]bool{
		"127.0.0.1:7000": true, "127.9.9.9:1": true, "[::1]:7000": true, "localhost:7000": true, "[::ffff:127.0.0.1]:1": true,
		":7000": false, "0.0.0.0:7000": false, "[::]:7000": false, "192.168.1.2:7000": false, "8.8.8.8:1": false,
	} {
		if got := loopback(t.Context(), listen); got != want {
			t.Errorf("%s: got %t", listen, got)
		}
	}
}

func TestOnlyThisMachinesNamesAreServed(t *testing.T) {
	h := sameMachine(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), "https://fhir.example.org")
	for host, want := range map[string]int{
		"localhost:7000": 200, "127.0.0.1": 200, "[::1]:7000": 200, "fhir.example.org": 200, "FHIR.example.org:443": 200,
		"evil.example.com": 403, "localhost.evil.example.com": 403, "": 403, "127.0.0.1.evil.example.com:7000": 403,
	} {
		r := httptest.NewRequest(http.MethodGet, "/fhir/R4/metadata", nil)
		r.Host = host
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("%q: got %d, want %d", host, w.Code, want)
		}
	}
}
