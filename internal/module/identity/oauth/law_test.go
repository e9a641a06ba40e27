package oauth

import (
	"encoding/base64"
	"encoding/json"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/nilecare/nilecare/internal/access"
)

// TestRedirectLaw: what matches a registered URI is it, or differs in the port of a loopback address alone; so its host is always the same.
func TestRedirectLaw(t *testing.T) {
	registered := []string{"https://app.example/cb", "http://127.0.0.1:8080/cb?x=1", "http://[::1]/cb", "com.example.app:/cb"}
	pieces := rapid.SampledFrom([]string{"https://", "http://", "app.example", "127.0.0.1", "[::1]", ":", "8080", "80", "/", "cb", "?x=1", "@", "#", "\\", "evil.example", ".", "%2f",
		"com.example.app:", "//", " ", "\n"})
	rapid.Check(t, func(t *rapid.T) {
		uri := strings.Join(rapid.SliceOfN(pieces, 1, 9).Draw(t, "pieces"), "")
		if !redirectMatches(registered, uri) {
			return
		}
		got, err := url.Parse(uri)
		if err != nil {
			t.Fatalf("%q matches and cannot be read", uri)
		}
		for _, r := range registered {
			want, _ := url.Parse(r)
			if got.Scheme == want.Scheme && got.Hostname() == want.Hostname() && got.Path == want.Path && got.RawQuery == want.RawQuery && got.User == nil && got.Fragment == "" {
				return
			}
		}
		t.Fatalf("%q matches none of those that were registered", uri)
	})
}

// TestScopesNarrow: what is granted of what was asked is never more than what is allowed, in both readings: this package's and that of who
// enforces it.
func TestScopesNarrow(t *testing.T) {
	one := rapid.Custom(func(t *rapid.T) string {
		text := rapid.SampledFrom([]string{"patient", "user", "system"}).Draw(t, "level") + "/" +
			rapid.SampledFrom([]string{"*", "Observation", "Patient"}).Draw(t, "type") + "." +
			rapid.SampledFrom([]string{"read", "write", "*", "r", "rs", "cruds", "cu", "ds"}).Draw(t, "letters")
		query := rapid.SampledFrom([]string{"", "", "?_id=1", "?_id=2"}).Draw(t, "query")
		if strings.HasSuffix(text, ".read") || strings.HasSuffix(text, ".write") || strings.HasSuffix(text, ".*") {
			return text // version 1 has no queries
		}
		return text + query
	})
	list := rapid.SliceOfN(one, 1, 6)
	rapid.Check(t, func(t *rapid.T) {
		asked, err := parseScopes(strings.Join(list.Draw(t, "asked"), " ") + " openid unheard-of")
		if err != nil {
			t.Fatal(err)
		}
		allowed, err := parseScopes(strings.Join(list.Draw(t, "allowed"), " "))
		if err != nil {
			t.Fatal(err)
		}
		given := narrowTo(asked, allowed)
		for _, sc := range given {
			if !sc.within(allowed) {
				t.Fatalf("%s is given, of %s", sc.text, scopeText(allowed))
			}
			if !slicesAny(asked, func(a scope) bool { return sc.within([]scope{a}) }) {
				t.Fatalf("%s is given, and was not asked: %s", sc.text, scopeText(asked))
			}
		}
		enforced, err := access.ParseScopes(scopeText(given))
		if err != nil || len(enforced.Unknown()) > 0 {
			t.Fatalf("%s is given, and not understood: %v", scopeText(given), err)
		}
	})
}

func slicesAny(list []scope, f func(scope) bool) bool {
	for _, s := range list {
		if f(s) {
			return true
		}
	}
	return false
}

// TestAddresses: only those of the public internet are dialled.
func TestAddresses(t *testing.T) {
	for text, want := range map[string]bool{
		"8.8.8.8": true, "2606:4700:4700::1111": true,
		"127.0.0.1": false, "::1": false, "10.1.2.3": false, "172.16.0.1": false, "192.168.1.1": false, "169.254.169.254": false, "100.64.0.1": false,
		"0.0.0.0": false, "::": false, "224.0.0.1": false, "255.255.255.255": false, "fe80::1": false, "fd00::1": false, "ff02::1": false,
		"64:ff9b::a00:1": false, "2002:a00:1::": false, "::ffff:10.0.0.1": false, "198.18.0.1": false, "192.0.2.1": false, "fec0::1": false, "::10.0.0.1": false,
	} {
		if got := isPublicAddress(netip.MustParseAddr(text).Unmap()); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}

// TestUserCodes: what is shown is read back however it is typed.
func TestUserCodes(t *testing.T) {
	for range 100 {
		code := userCode()
		if plain := plainUserCode(code); len(plain) != 8 || plainUserCode(" "+strings.ToLower(plain)) != plain {
			t.Fatal(code)
		}
	}
	for _, bad := range []string{"", "AAAA-AAAA", "BBBB-BBB", "BBBB-BBBBB", "BBBB'BBBB"} {
		if plainUserCode(bad) != "" {
			t.Error(bad)
		}
	}
}

// TestWords: every text stands in both languages, and every scope can be said in them.
func TestWords(t *testing.T) {
	for name, m := range map[string]map[string][2]string{"page": pageTexts, "plain": plainWords, "type": typeWords, "level": levelWords} {
		for key, pair := range m {
			if pair[0] == "" || pair[1] == "" || pair[0] == pair[1] {
				t.Errorf("%s: %s: %q", name, key, pair)
			}
		}
	}
	for text, want := range map[string][2]string{
		"patient/Observation.rs": {"Read, search measurements and test results of this patient", "قراءة، بحث: القياسات ونتائج الفحوص لهذا المريض"},
		"user/*.cruds":           {"Read, search, add, change, delete all records that you may see yourself", ""},
		"patient/Observation.rs?category=a|laboratory": {"Read, search measurements and test results of this patient, only where category = laboratory", ""},
		"system/Basic.r": {"Read Basic of all patients", ""},
	} {
		sc, known, err := parseScope(text)
		if err != nil || !known {
			t.Fatal(text, err)
		}
		for i, lang := range []string{"en", "ar"} {
			if got := describe(lang, sc); want[i] != "" && got != want[i] {
				t.Errorf("%s: %q", text, got)
			}
		}
	}
}

// FuzzScopes: whatever is given as a scope is read or refused, and what is read is written as it was given.
func FuzzScopes(f *testing.F) {
	for _, s := range []string{"openid launch/patient", "patient/Observation.rs?category=laboratory", "user/*.*", "patient/Foo.rs", "patient/Observation.sr", "system/*.read ünï", "patient/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		scopes, err := parseScopes(text)
		if err != nil {
			return
		}
		again, err := parseScopes(scopeText(scopes))
		if err != nil || scopeText(again) != scopeText(scopes) {
			t.Fatalf("%q: %q, then %q, %v", text, scopeText(scopes), scopeText(again), err)
		}
		for _, sc := range scopes {
			_ = describe("ar", sc)
			if !sc.within(scopes) {
				t.Fatalf("%q is not within itself", sc.text)
			}
		}
	})
}

// FuzzAssertionParts: what is read has no name twice, so that no other reader can take it for something else.
func FuzzAssertionParts(f *testing.F) {
	for _, s := range []string{`{"alg":"RS256","kid":"x"}`, `{"alg":"RS256","alg":"none"}`, `{"alg":"RS256","ALG":"none"}`, `[]`, `{"a":{"alg":1},"alg":"x"}`, `{} {}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var head assertionHead
		if !decodePart(base64.RawURLEncoding.EncodeToString(b), &head) {
			return
		}
		var m map[string]json.RawMessage
		if err := json.Unmarshal(b, &m); err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{}
		for name := range m {
			if seen[strings.ToLower(name)] {
				t.Fatalf("%q twice in %q", name, b)
			}
			seen[strings.ToLower(name)] = true
		}
	})
}

// FuzzRedirectURI: a URI that may be registered is one that a browser reads as this program does, with a scheme that runs nothing.
func FuzzRedirectURI(f *testing.F) {
	for _, s := range []string{"https://app.example/cb", "http://127.0.0.1/cb", "javascript:alert(1)", "com.example.app:/cb", "https://a@b/", "https://a\\b", "HTTPS://a/", "data:x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		if checkRedirectURI(raw, true) != "" {
			return
		}
		u, err := url.Parse(raw)
		if err != nil || u.Fragment != "" || u.User != nil || u.Scheme == "javascript" || u.Scheme == "data" || u.Scheme == "" || strings.ContainsAny(raw, " \\\r\n\t") {
			t.Fatalf("%q", raw)
		}
		if u.Scheme == "http" && !isLoopbackHost(u.Hostname()) {
			t.Fatalf("%q", raw)
		}
		if !redirectMatches([]string{raw}, raw) {
			t.Fatalf("%q does not match itself", raw)
		}
	})
}
