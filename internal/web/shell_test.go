package web_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/testfind"
	"github.com/nilecare/nilecare/internal/web"
)

// TestShellExampleOfTheManual runs what docs/http.md tells its readers to run.
func TestShellExampleOfTheManual(t *testing.T) {
	for _, program := range []string{"sh", "openssl", "curl"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%s is not here", program)
		}
	}
	manual, err := os.ReadFile(filepath.Join(testfind.Root(), "docs", "http.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(manual), "<!-- signing:")
	_, rest, _ = strings.Cut(rest, "```sh\n")
	script, _, ok := strings.Cut(rest, "```")
	if !ok {
		t.Fatal("the manual has no example")
	}
	sigs := &web.Signatures{Replays: web.NewMemoryReplays(0, nil), Secrets: func(_ context.Context, id string) ([][]byte, error) {
		return [][]byte{secret}, nil
	}}
	s := edge(t, web.Options{Authenticate: func(_ context.Context, r *http.Request) (access.Caller, error) {
		key, err := sigs.Verify(r)
		return access.Caller{Tenant: 1, Who: "Key/" + key, Client: key}, err
	}}, web.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		body, err := web.ReadBody(r)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(w, "%s by %s: %s", r.URL.Query().Get("_format"), access.From(r.Context()).Who, body)
		return err
	}))
	body := filepath.Join(t.TempDir(), "body.json")
	if err := os.WriteFile(body, []byte("{\"resourceType\":\"Patient\"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{string(secret): "json by Key/lab: {\"resourceType\":\"Patient\"}\n", "wrong": "the signature is not valid"} {
		cmd := exec.CommandContext(t.Context(), "sh", "-euc", script)
		cmd.Env = append(os.Environ(), "BASE="+s.URL, "KEY_ID=lab", "SECRET="+key, "BODY="+body)
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), want) {
			t.Errorf("%v: %s", err, out)
		}
	}
}
