package config_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nilecare/nilecare/internal/app/config"
	"github.com/nilecare/nilecare/internal/testfind"
)

func write(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "settings.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestPrecedence(t *testing.T) {
	file := write(t, "log-level: warn\nlisten: 127.0.0.1:1\nmax-body: 1MiB\ndata: from-file\n")
	env := []string{"NILECARE_CONFIG=" + file, "NILECARE_LISTEN=127.0.0.1:2", "NILECARE_MAX_BODY=2MiB", "HOME=/nowhere"}
	l, rest, err := config.Load([]string{"a", "--max-body=3MiB", "b", "--encrypt-database", "--request-timeout", "5s", "--", "--c"}, env, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := config.Config{Data: "from-file", Listen: "127.0.0.1:2", Demo: "off", LogLevel: "warn", LogFormat: "text", MaxBody: 3 << 20,
		MaxEntries: 20000, RequestTimeout: 5 * time.Second, StopTimeout: 30 * time.Second, EncryptDatabase: true,
		Tenant: 1, ClientCerts: "none", RateLimits: true, Registration: "off", Target: []string{"all"}, KafkaSASL: "none"}
	if diff := cmp.Diff(want, l.Config); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"a", "b", "--c"}, rest); diff != "" {
		t.Error(diff)
	}
	var out bytes.Buffer
	if err := l.Show(&out); err != nil {
		t.Fatal(err)
	}
	for name, source := range map[string]string{"data": "file " + file, "listen": "variable NILECARE_LISTEN", "max-body": "flag --max-body", "demo": "default"} {
		if line := lineOf(out.String(), name); !strings.HasSuffix(line, "# "+source) {
			t.Errorf("%s: %q, want it from %s", name, line, source)
		}
	}
}

func lineOf(text, name string) string {
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, name+":") {
			return strings.TrimSpace(line)
		}
	}
	return ""
}

func TestFlagBeatsVariableForTheFile(t *testing.T) {
	first, second := write(t, "data: first\n"), write(t, "data: second\n")
	l, _, err := config.Load([]string{"--config", second}, []string{"NILECARE_CONFIG=" + first}, nil)
	if err != nil || l.Data != "second" {
		t.Errorf("got %q, %v", l.Data, err)
	}
}

func TestMistakes(t *testing.T) {
	for name, c := range map[string]struct {
		args, env []string
		file      string
		want      string
	}{
		"unknown flag":        {args: []string{"--databse", "x"}, want: "unknown flag --databse: the nearest known one is --database"},
		"unknown variable":    {env: []string{"NILECARE_LOGLEVEL=x"}, want: "unknown variable NILECARE_LOGLEVEL: the nearest known one is NILECARE_LOG_LEVEL"},
		"lower-case variable": {env: []string{"NILECARE_Data=x"}, want: "unknown variable NILECARE_Data: the nearest known one is NILECARE_DATA"},
		"unknown key":         {file: "data: x\nlisen: y\n", want: ":2: unknown setting lisen: the nearest known one is listen"},
		"key twice":           {file: "data: x\ndata: y\n", want: "data"},
		"list":                {file: "data: [x]\n", want: ":1: data must be one value"},
		"no mapping":          {file: "- data\n", want: "must be lines of NAME: VALUE"},
		"bad value in file":   {file: "log-level: loud\n", want: ":1: log-level: must be one of debug, info, warn, error"},
		"bad value in flag":   {args: []string{"--listen", "7000"}, want: "flag --listen must be HOST:PORT"},
		"bad value in env":    {env: []string{"NILECARE_MAX_ENTRIES=0"}, want: "variable NILECARE_MAX_ENTRIES must be a whole number"},
		"flag without value":  {args: []string{"--data"}, want: "flag --data needs a value"},
		"absent file":         {args: []string{"--config", filepath.Join(t.TempDir(), "none.yaml")}, want: "the configuration file"},
		"yes-or-no":           {args: []string{"--encrypt-database=maybe"}, want: "must be true or false"},
		"wrong scheme":        {args: []string{"--database", "mysql://h/d"}, want: "must be a URL that begins with postgres://"},
	} {
		t.Run(name, func(t *testing.T) {
			args := c.args
			if c.file != "" {
				args = append(args, "--config", write(t, c.file))
			}
			_, _, err := config.Load(args, c.env, nil)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestBadURLIsNotRepeated(t *testing.T) {
	_, _, err := config.Load([]string{"--database", "postgres://u:geheim@h:port/x"}, nil, nil)
	if err == nil || strings.Contains(err.Error(), "geheim") {
		t.Errorf("got %v", err)
	}
}

func TestForeignVariables(t *testing.T) {
	env := []string{"NILECARE_TEST_POSTGRES=x", "NILECARE_SERVICE_HOST=10.0.0.1", "NILECARE_SERVICE_PORT_FHIR=1", "NILECARE_PORT=tcp://10.0.0.1:1", "NILECARE_PORT_7000_TCP=x"}
	if _, _, err := config.Load(nil, env, nil); err != nil {
		t.Error(err)
	}
	if _, _, err := config.Load(nil, []string{"NILECARE_PORT=7000"}, nil); err == nil {
		t.Error("NILECARE_PORT=7000 was taken")
	}
}

func TestOwnFlags(t *testing.T) {
	var again bool
	var workers int
	own := []config.Setting{{Name: "again", Value: config.Bool(&again)}, {Name: "workers", Default: "4", Value: config.Count(&workers)}}
	if _, rest, err := config.Load([]string{"--again", "x"}, nil, own); err != nil || !again || workers != 4 || len(rest) != 1 {
		t.Errorf("again %t, workers %d, rest %v, %v", again, workers, rest, err)
	}
	if _, _, err := config.Load(nil, []string{"NILECARE_AGAIN=true"}, own); err == nil {
		t.Error("a command's own flag was taken from the environment")
	}
	if _, _, err := config.Load([]string{"--help"}, nil, own); !errors.Is(err, config.ErrHelp) {
		t.Errorf("got %v", err)
	}
}

func TestHidePassword(t *testing.T) {
	for in, want := range map[string]string{
		"./data":                       "./data",
		"postgres://u:secret@h:1/d":    "postgres://u:********@h:1/d",
		"postgres://u@h/d":             "postgres://u@h/d",
		"postgres://h/d?password=a":    "postgres://h/d?password=********",
		"postgres://h/d?sslmode=allow": "postgres://h/d?sslmode=allow",
		"postgres://u:%zz@h/d":         "********",
	} {
		if got := config.HidePassword(in); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
}

func TestValuesReadWhatTheyShow(t *testing.T) {
	var c config.Config
	for name, texts := range map[string][]string{
		"max-body":        {"64MiB", "1GiB", "1KiB", "1537B"},
		"request-timeout": {"1m0s", "250ms"},
		"max-entries":     {"7"},
		"demo":            {"auto"},
		"listen":          {"[::1]:80", ":7000"},
	} {
		for _, s := range c.Settings() {
			if s.Name != name {
				continue
			}
			for _, text := range texts {
				if err := s.Value.Set(text); err != nil || s.Value.String() != text {
					t.Errorf("%s: %s became %s, %v", name, text, s.Value.String(), err)
				}
			}
		}
	}
}

func TestNearest(t *testing.T) {
	names := []string{"data", "database", "listen", "log-level"}
	for word, want := range map[string]string{"dtaa": "data", "databases": "database", "loglevel": "log-level", "lsiten": "listen"} {
		if got := config.Nearest(word, names); got != want {
			t.Errorf("%s: got %s, want %s", word, got, want)
		}
	}
	if got := config.Nearest("x", nil); got != "" {
		t.Errorf("got %q", got)
	}
}

func TestDocumentedSettings(t *testing.T) {
	file := filepath.Join(testfind.Root(), "docs", "configuration.md")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var want bytes.Buffer
	if err := config.Markdown(&want); err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "compares them -->\n")
	table, _, _ = strings.Cut(table, "<!-- end of settings -->")
	if diff := cmp.Diff(want.String(), table); diff != "" {
		t.Errorf("docs/configuration.md (-the program's settings, +the page's):\n%s", diff)
	}
}
