package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// DefaultFile is read where no other file is named, if it is there.
const DefaultFile = "nilecare.yaml"

const envPrefix = "NILECARE_"

// Loaded is a configuration with where each value comes from.
type Loaded struct {
	Config
	settings []Setting
	sources  map[string]string
	file     string
}

// Load reads the settings from args, from env ("NAME=value" each) and from the YAML file that --config or NILECARE_CONFIG
// names (else nilecare.yaml, where it exists). Flags that own names are of the command alone: they stand neither in the
// environment nor in the file. What is no flag is returned in its order. Errors name the key, its place and what is allowed.
func Load(args, env []string, own []Setting) (*Loaded, []string, error) {
	l := &Loaded{sources: map[string]string{}}
	l.settings = l.Settings()
	flags, rest, err := parseFlags(args, slices.Concat(own, l.settings, []Setting{{Name: "config", Value: Text(&l.file)}}))
	if err != nil {
		return nil, nil, err
	}
	vars, err := l.variables(env)
	if err != nil {
		return nil, nil, err
	}
	if err := l.defaults(own); err != nil {
		return nil, nil, err
	}
	if err := l.readFile(flags, vars); err != nil {
		return nil, nil, err
	}
	for _, v := range vars {
		if v.name == "config" {
			continue
		}
		if err := l.set(l.settings, v.name, v.text, "variable "+envName(v.name)); err != nil {
			return nil, nil, err
		}
	}
	for _, f := range flags {
		if f.name == "config" {
			continue
		}
		if err := l.set(slices.Concat(own, l.settings), f.name, f.text, "flag --"+f.name); err != nil {
			return nil, nil, err
		}
	}
	return l, rest, nil
}

func (l *Loaded) defaults(own []Setting) error {
	for _, s := range slices.Concat(own, l.settings) {
		if s.Default == "" {
			continue
		}
		if err := s.Value.Set(s.Default); err != nil {
			return fmt.Errorf("the default of %s %w", s.Name, err)
		}
	}
	return nil
}

func (l *Loaded) set(table []Setting, name, text, source string) error {
	i := slices.IndexFunc(table, func(s Setting) bool { return s.Name == name })
	if err := table[i].Value.Set(text); err != nil {
		return fmt.Errorf("%s %w", source, err)
	}
	l.sources[name] = source
	return nil
}

// assignment is a name of the table with the text that is to be its value.
type assignment struct{ name, text string }

// variables finds the settings of the environment. NILECARE_TEST_… belongs to the project's tests; what Kubernetes sets
// for a service that is called nilecare is left aside.
func (l *Loaded) variables(env []string) ([]assignment, error) {
	names := append(settingNames(l.settings), "config")
	var out []assignment
	for _, e := range env {
		key, text, _ := strings.Cut(e, "=")
		if !strings.HasPrefix(key, envPrefix) || strings.HasPrefix(key, envPrefix+"TEST_") || serviceLink(key, text) {
			continue
		}
		name := strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(key, envPrefix)), "_", "-")
		if !slices.Contains(names, name) || key != envName(name) {
			return nil, fmt.Errorf("unknown variable %s: the nearest known one is %s", key, envName(Nearest(name, names)))
		}
		out = append(out, assignment{name, text})
	}
	return out, nil
}

func serviceLink(key, text string) bool {
	name := strings.TrimPrefix(key, envPrefix)
	return name == "SERVICE_HOST" || strings.HasPrefix(name, "SERVICE_PORT") || strings.HasPrefix(name, "PORT_") ||
		name == "PORT" && strings.Contains(text, "://")
}

func envName(name string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

func settingNames(settings []Setting) []string {
	names := make([]string, len(settings))
	for i, s := range settings {
		names[i] = s.Name
	}
	return names
}

// readFile sets what the YAML file says. A file that was asked for must exist.
func (l *Loaded) readFile(flags, vars []assignment) error {
	asked := false
	for _, a := range slices.Concat(vars, flags) {
		if a.name == "config" {
			l.file, asked = a.text, true
		}
	}
	if !asked {
		l.file = DefaultFile
	}
	text, err := os.ReadFile(l.file)
	if errors.Is(err, fs.ErrNotExist) && !asked {
		l.file = ""
		return nil
	}
	if err != nil {
		return fmt.Errorf("the configuration file: %w", err)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return fmt.Errorf("%s: %w", l.file, err)
	}
	if len(doc.Content) == 0 {
		return nil
	}
	return l.fileSettings(doc.Content[0])
}

func (l *Loaded) fileSettings(top *yaml.Node) error {
	if top.Kind != yaml.MappingNode {
		return fmt.Errorf("%s:%d: must be lines of NAME: VALUE", l.file, top.Line)
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(top.Content); i += 2 {
		key, val := top.Content[i], top.Content[i+1]
		where := fmt.Sprintf("%s:%d: %s", l.file, key.Line, key.Value)
		names := settingNames(l.settings)
		switch {
		case !slices.Contains(names, key.Value):
			return fmt.Errorf("%s:%d: unknown setting %s: the nearest known one is %s", l.file, key.Line, key.Value, Nearest(key.Value, names))
		case seen[key.Value]:
			return fmt.Errorf("%s is set twice", where)
		case val.Kind != yaml.ScalarNode:
			return fmt.Errorf("%s must be one value", where)
		}
		seen[key.Value] = true
		text := val.Value
		if val.Tag == "!!null" {
			text = ""
		}
		if err := l.set(l.settings, key.Value, text, "file "+l.file); err != nil {
			return fmt.Errorf("%s:%d: %s: %w", l.file, key.Line, key.Value, errors.Unwrap(err))
		}
	}
	return nil
}
