// Package app is the wiring room: it alone knows everybody. It reads the settings, opens the store, puts the parts together
// and runs the commands of the program.
package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/nilecare/nilecare/internal/app/config"
)

// Exit codes of the program.
const (
	exitOK    = 0
	exitError = 1 // the command failed, or found something wrong
	exitUsage = 2 // the command line or a setting is wrong
)

// Program is one run of the program: what it was called with, and where it reads and writes.
type Program struct {
	Version  string
	Env      []string // NAME=value
	In       io.Reader
	Out, Err io.Writer

	cfg   *config.Loaded
	shape shape // of serve
}

// Main runs the program on the process's own environment and streams and returns the exit code. SIGINT and SIGTERM end
// the command's context; a second one ends the process at once.
func Main(args []string, version string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	defer stop()
	p := &Program{Version: version, Env: os.Environ(), In: os.Stdin, Out: os.Stdout, Err: os.Stderr}
	return p.Run(ctx, args)
}

// Run carries out one command and returns the exit code.
func (p *Program) Run(ctx context.Context, args []string) int {
	err := p.run(ctx, args)
	var usage *config.UsageError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &usage):
		fmt.Fprintln(p.Err, "nilecare: "+usage.Text)
		return exitUsage
	case errors.Is(err, errReported):
		return exitError
	}
	fmt.Fprintln(p.Err, "nilecare: "+err.Error())
	return exitError
}

// errReported says that the command failed and has told why.
var errReported = errors.New("reported")

func (p *Program) run(ctx context.Context, args []string) error {
	name := "help"
	if len(args) > 0 {
		name, args = args[0], args[1:]
	}
	if name == "-h" || name == "--help" {
		name = "help"
	}
	if name == "--version" {
		name = "version"
	}
	all := commands()
	i := slices.IndexFunc(all, func(c command) bool { return c.name == name })
	if i < 0 {
		return &config.UsageError{Text: fmt.Sprintf("unknown command %s: the nearest known one is %s", name, config.Nearest(name, commandNames(all)))}
	}
	c := all[i]
	flags, do := c.build(p)
	cfg, rest, err := config.Load(args, p.Env, flags)
	if errors.Is(err, config.ErrHelp) {
		return p.commandHelp(c)
	}
	if err != nil {
		return &config.UsageError{Text: err.Error()}
	}
	if len(rest) < c.least || c.most >= 0 && len(rest) > c.most {
		return &config.UsageError{Text: fmt.Sprintf("usage: nilecare %s", c.usage())}
	}
	p.cfg = cfg
	return do(ctx, rest)
}
