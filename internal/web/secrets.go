package web

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
)

// Secret is bytes that neither a log, a message nor JSON tells.
type Secret []byte

// String implements fmt.Stringer, and keeps the secret.
func (Secret) String() string { return "[secret]" }

// GoString implements fmt.GoStringer, and keeps the secret.
func (Secret) GoString() string { return "[secret]" }

// Format implements fmt.Formatter, and keeps the secret whatever the verb.
func (Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("[secret]")) }

// MarshalText implements encoding.TextMarshaler, and keeps the secret.
func (Secret) MarshalText() ([]byte, error) { return []byte("[secret]"), nil }

// LogValue implements slog.LogValuer, and keeps the secret.
func (Secret) LogValue() slog.Value { return slog.StringValue("[secret]") }

// SecretSource is where secrets come from: the environment and files. There is no third way, and no secret has a default.
type SecretSource struct {
	env func(string) string
	dir string
}

// Secrets returns the source that reads of a secret NAME, in this order: the variable NAME; the file that the variable NAME_FILE names; the
// file NAME in dir, as container platforms and systemd put it ("": there is no such folder). env is os.Getenv, but for tests.
func Secrets(env func(string) string, dir string) *SecretSource { return &SecretSource{env, dir} }

// WantedSecret is one secret that a start needs.
type WantedSecret struct {
	Name     string // of capitals, digits and underscores: "NILECARE_WEBHOOK_SECRET"
	Optional bool   // a start without it is no failure; it is then absent
	Min      int    // bytes that it must have; 0: one
}

// maxSecret bounds a secret's file: what is larger is the wrong file.
const maxSecret = 64 << 10

// Load reads all of them. The error names at once each that is missing, too short, or told twice; it never holds a part of one.
func (s *SecretSource) Load(wanted ...WantedSecret) (map[string]Secret, error) {
	out := map[string]Secret{}
	var missing []string
	var wrong []error
	for _, w := range wanted {
		value, err := s.read(w.Name)
		switch {
		case err != nil:
			wrong = append(wrong, err)
		case value == nil && !w.Optional:
			missing = append(missing, w.Name)
		case value == nil:
		case len(value) < w.Min:
			wrong = append(wrong, fmt.Errorf("the secret %s has fewer than %d bytes", w.Name, w.Min))
		default:
			out[w.Name] = value
		}
	}
	if len(missing) > 0 {
		wrong = append([]error{fmt.Errorf("these secrets are missing: %s (each is the variable itself, or the file that the variable with _FILE behind its name names%s)",
			strings.Join(missing, ", "), s.orDir())}, wrong...)
	}
	if len(wrong) > 0 {
		return nil, errors.Join(wrong...)
	}
	return out, nil
}

func (s *SecretSource) orDir() string {
	if s.dir == "" {
		return ""
	}
	return ", or a file of its name in " + s.dir
}

// read returns a secret, without the line feed that editors leave, or nil where it is nowhere or empty.
func (s *SecretSource) read(name string) (Secret, error) {
	direct, file := s.env(name), s.env(name+"_FILE")
	if direct != "" && file != "" {
		return nil, fmt.Errorf("the secret %s is told twice: by %s and by %s_FILE", name, name, name)
	}
	if direct != "" {
		return Secret(direct), nil
	}
	if file != "" {
		return readSecret(name, file)
	}
	if s.dir == "" {
		return nil, nil
	}
	value, err := readSecret(name, filepath.Join(s.dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return value, err
}

func readSecret(name, file string) (Secret, error) {
	info, err := os.Stat(file)
	if err == nil && (info.Size() > maxSecret || info.IsDir()) {
		err = errors.New("it is no file of a secret's size")
	}
	var b []byte
	if err == nil {
		b, err = os.ReadFile(file) // #nosec G304 -- the operator names it
	}
	if err != nil {
		return nil, fmt.Errorf("the file of the secret %s: %w", name, err)
	}
	if b = []byte(strings.TrimRight(string(b), "\r\n")); len(b) == 0 {
		return nil, nil
	}
	return b, nil
}
