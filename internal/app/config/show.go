package config

import (
	"fmt"
	"io"
	"net/url"
	"strings"
	"text/tabwriter"
)

const hidden = "********"

// Show writes the effective values and where each comes from, secrets hidden.
func (l *Loaded) Show(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for _, s := range l.settings {
		source := l.sources[s.Name]
		if source == "" {
			source = "default"
		}
		text := display(s)
		if text == "" {
			text = `""`
		}
		fmt.Fprintf(tw, "%s\t%s\t# %s\n", s.Name+":", text, source)
	}
	return tw.Flush()
}

// display is the value as it may be shown: no secret, no password of a URL, none of a URL's query values that name one.
func display(s Setting) string {
	text := s.Value.String()
	if text == "" {
		return ""
	}
	if s.Secret {
		return hidden
	}
	return HidePassword(text)
}

// HidePassword returns a URL with the password of its user, and values of its query that name a password or key, hidden.
// Other text is returned as it is.
func HidePassword(text string) string {
	if !strings.Contains(text, "://") {
		return text
	}
	u, err := url.Parse(text)
	if err != nil {
		return hidden
	}
	if _, has := u.User.Password(); has {
		u.User = url.UserPassword(u.User.Username(), "xxxxx")
	}
	q := u.Query()
	for key := range q {
		if k := strings.ToLower(key); strings.Contains(k, "pass") || strings.Contains(k, "key") || strings.Contains(k, "secret") {
			q.Set(key, "xxxxx")
		}
	}
	if len(q) > 0 {
		u.RawQuery = q.Encode()
	}
	return strings.ReplaceAll(u.String(), "xxxxx", hidden)
}

// Usage writes a table of the settings for people, one line each.
func Usage(w io.Writer, settings []Setting) error {
	tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for _, s := range settings {
		help := s.Help
		if _, yesNo := s.Value.(boolean); s.Default != "" && !yesNo {
			help += " (" + s.Default + ")"
		}
		fmt.Fprintf(tw, "  --%s\t%s\n", s.Name, help)
	}
	return tw.Flush()
}

// Markdown writes the settings as the table of docs/configuration.md.
func Markdown(w io.Writer) error {
	var c Config
	var b strings.Builder
	b.WriteString("| flag and key of the file | variable | default | what it is |\n|---|---|---|---|\n")
	for _, s := range c.Settings() {
		def := "`" + s.Default + "`"
		if s.Default == "" {
			def = "empty"
		}
		fmt.Fprintf(&b, "| `%s` | `%s` | %s | %s |\n", s.Name, envName(s.Name), def, strings.ReplaceAll(s.Help, "|", "\\|"))
	}
	_, err := io.WriteString(w, b.String())
	return err
}
