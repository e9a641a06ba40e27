package app

import (
	"context"
	"fmt"
	"runtime"
	"text/tabwriter"

	"github.com/nilecare/nilecare/internal/app/config"
)

// command is one subcommand. build returns the flags that are its own and what it does with the other arguments.
type command struct {
	name, args, help string
	least, most      int // how many other arguments; most -1: any number
	build            func(p *Program) ([]config.Setting, func(ctx context.Context, args []string) error)
}

func (c command) usage() string {
	if c.args == "" {
		return c.name
	}
	return c.name + " " + c.args
}

// commands is the table of subcommands, in the order of `nilecare help`.
func commands() []command {
	return []command{
		{name: "serve", help: "serve until SIGTERM or Ctrl-C", build: plain((*Program).serve)},
		{name: "import", args: "PATH…", help: "write resources and Bundles of files, folders and archives", least: 1, most: -1, build: buildImport},
		{name: "export", args: "FOLDER", help: "write all current resources as NDJSON, a file a type", least: 1, most: 1, build: buildExport},
		{name: "verify", help: "recompute what can be recomputed and name what differs", build: plain((*Program).verify)},
		{name: "backup", args: "FILE", help: "write a consistent copy of one tenant (--tenant), sealed as the database is", least: 1, most: 1, build: plain((*Program).backup)},
		{name: "restore", args: "FILE", help: "fill an empty database from a backup", least: 1, most: 1, build: plain((*Program).restore)},
		{name: "erase", args: "PATIENT", help: "destroy a patient's key, and with it the patient's record", least: 1, most: 1, build: buildErase},
		{name: "user", args: "create|password|list", help: "make a user, give one a new password, or list them", least: 1, most: 1, build: buildUser},
		{name: "apikey", args: "create|list|revoke [ID]", help: "make an API key and print it alone, list them, or end one", least: 1, most: 2, build: buildAPIKey},
		{name: "tenant", args: "create NAME|list|suspend N|resume N|delete N", help: "keep the tenants beside the first", least: 1, most: 2, build: plain((*Program).tenant)},
		{name: "keys", args: "[rotate root|tenant|signing] [retire]", help: "show the keys and their states, have a new one take over, or drop old root keys", most: 2, build: buildKeys},
		{name: "audit", args: "verify|export [FILE]", help: "prove that nothing was changed in the audit, or write it out", least: 1, most: 2, build: buildAudit},
		{name: "events", args: "readers|kinds|list|show ID|replay ID|discard ID", help: "look after the readers of events and what they could not handle", least: 1, most: 2, build: buildEvents},
		{name: "migrate", help: "bring the database's schema forward", build: plain((*Program).migrate)},
		{name: "fhirpath", args: "EXPRESSION [FILE]", help: "evaluate a FHIRPath expression on a resource, one JSON line a result", least: 1, most: 2, build: plain((*Program).fhirPathQuery)},
		{name: "config", help: "show the effective settings and where each comes from", build: plain((*Program).showConfig)},
		{name: "version", help: "say which version this is", build: plain((*Program).showVersion)},
		{name: "help", args: "[COMMAND]", help: "say what there is", most: 1, build: plain((*Program).help)},
	}
}

// plain is a command without flags of its own.
func plain(do func(*Program, context.Context, []string) error) func(*Program) ([]config.Setting, func(context.Context, []string) error) {
	return func(p *Program) ([]config.Setting, func(context.Context, []string) error) {
		return nil, func(ctx context.Context, args []string) error { return do(p, ctx, args) }
	}
}

func commandNames(all []command) []string {
	names := make([]string, len(all))
	for i, c := range all {
		names[i] = c.name
	}
	return names
}

func (p *Program) showConfig(context.Context, []string) error {
	return p.cfg.Show(p.Out)
}

func (p *Program) showVersion(context.Context, []string) error {
	fmt.Fprintf(p.Out, "nilecare %s (%s, %s/%s)\n", p.Version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return nil
}

func (p *Program) help(_ context.Context, args []string) error {
	all := commands()
	if len(args) == 1 {
		for _, c := range all {
			if c.name == args[0] {
				return p.commandHelp(c)
			}
		}
		return &config.UsageError{Text: fmt.Sprintf("unknown command %s: the nearest known one is %s", args[0], config.Nearest(args[0], commandNames(all)))}
	}
	fmt.Fprint(p.Out, "nilecare: a record of patients, over FHIR R4\n\nusage: nilecare COMMAND [--SETTING VALUE]… [ARGUMENT]…\n\n")
	tw := tabwriter.NewWriter(p.Out, 0, 8, 2, ' ', 0)
	for _, c := range all {
		fmt.Fprintf(tw, "  %s\t%s\n", c.usage(), c.help)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	fmt.Fprint(p.Out, "\n`nilecare help COMMAND` names its flags. Settings are read from flags, then NILECARE_* variables,\nthen the YAML file of --config (nilecare.yaml where it exists), then defaults.\n")
	return nil
}

func (p *Program) commandHelp(c command) error {
	flags, _ := c.build(p)
	fmt.Fprintf(p.Out, "nilecare %s\n\n%s\n", c.usage(), c.help)
	if len(flags) > 0 {
		fmt.Fprintln(p.Out, "\nflags of this command:")
		if err := config.Usage(p.Out, flags); err != nil {
			return err
		}
	}
	var settings config.Config
	fmt.Fprintln(p.Out, "\nsettings, as flags, variables or lines of the YAML file:")
	return config.Usage(p.Out, append(settings.Settings(), config.Setting{Name: "config", Help: "the YAML file", Default: config.DefaultFile}))
}
