package config

import (
	"fmt"
	"slices"
	"strings"
)

// UsageError is a mistake on the command line.
type UsageError struct{ Text string }

// Error implements error.
func (e *UsageError) Error() string { return e.Text }

// ErrHelp says that --help or -h was asked for.
var ErrHelp = &UsageError{Text: "help was asked for"}

// parseFlags takes --name value, --name=value and, for a yes-or-no, --name alone, anywhere among the other arguments.
// Behind -- nothing is a flag.
func parseFlags(args []string, known []Setting) (flags []assignment, rest []string, err error) {
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		switch {
		case arg == "--":
			return flags, append(rest, args...), nil
		case arg == "-h" || arg == "--help":
			return nil, nil, ErrHelp
		case arg == "-" || !strings.HasPrefix(arg, "-"):
			rest = append(rest, arg)
			continue
		}
		name, text, given := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		i := slices.IndexFunc(known, func(s Setting) bool { return s.Name == name })
		if i < 0 {
			return nil, nil, &UsageError{fmt.Sprintf("unknown flag --%s: the nearest known one is --%s", name, Nearest(name, settingNames(known)))}
		}
		if _, yesNo := known[i].Value.(boolean); !given && yesNo {
			text, given = "true", true
		}
		if !given {
			if len(args) == 0 {
				return nil, nil, &UsageError{fmt.Sprintf("flag --%s needs a value", name)}
			}
			text, args = args[0], args[1:]
		}
		flags = append(flags, assignment{name, text})
	}
	return flags, rest, nil
}
