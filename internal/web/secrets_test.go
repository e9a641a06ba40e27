package web_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nilecare/nilecare/internal/web"
)

func TestSecrets(t *testing.T) {
	dir := t.TempDir()
	put := func(name, value string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(value), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	put("IN_DIR", "from the folder\n")
	env := map[string]string{"DIRECT": "from the variable", "BY_FILE_FILE": put("elsewhere", "from a file\r\n"), "TWICE": "x", "TWICE_FILE": put("twice", "y"),
		"EMPTY_FILE": put("empty", "\n"), "GONE_FILE": filepath.Join(dir, "gone")}
	source := web.Secrets(func(n string) string { return env[n] }, dir)
	got, err := source.Load(web.WantedSecret{Name: "DIRECT"}, web.WantedSecret{Name: "BY_FILE", Min: 5}, web.WantedSecret{Name: "IN_DIR"}, web.WantedSecret{Name: "ABSENT", Optional: true})
	if err != nil || len(got) != 3 || string(got["DIRECT"]) != "from the variable" || string(got["BY_FILE"]) != "from a file" || string(got["IN_DIR"]) != "from the folder" {
		t.Errorf("%d %v", len(got), err)
	}
	_, err = source.Load(web.WantedSecret{Name: "ABSENT"}, web.WantedSecret{Name: "DIRECT", Min: 32}, web.WantedSecret{Name: "TWICE"}, web.WantedSecret{Name: "EMPTY"},
		web.WantedSecret{Name: "GONE", Optional: true}, web.WantedSecret{Name: "IN_DIR"})
	if err == nil {
		t.Fatal("a start without its secrets")
	}
	for _, name := range []string{"missing: ABSENT, EMPTY", "DIRECT", "TWICE", "GONE"} {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("no %s in %v", name, err)
		}
	}
	if strings.Contains(err.Error(), "from the") {
		t.Errorf("a secret is told: %v", err)
	}
}

func TestSecretTellsNothing(t *testing.T) {
	s := web.Secret("hush")
	var logged strings.Builder
	slog.New(slog.NewJSONHandler(&logged, nil)).Info("x", "s", s, "in", struct{ S web.Secret }{s})
	j, err := json.Marshal(map[string]any{"s": s})
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{fmt.Sprint(s), fmt.Sprintf("%s %v %q %x %#v %d %+v", s, s, s, s, s, s, struct{ S web.Secret }{s}), logged.String(), string(j)} {
		if strings.Contains(text, "hush") || strings.Contains(text, "68757368") || strings.Contains(text, "aHVzaA") || strings.Contains(text, "104") {
			t.Errorf("told: %s", text)
		}
	}
}
