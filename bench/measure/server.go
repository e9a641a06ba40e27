package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// server is the program on one database. Its output goes to a log file.
type server struct {
	binary, log string
	db          *database
	address     string
	process     *exec.Cmd
	ended       chan error
	open        bool   // nobody signs in: what authentication, decision and audit cost is the difference
	key         string // the API key that the load is sent with; "" where nobody signs in
}

func (s *server) base() string { return "http://" + s.address + "/fhir/R4" }

// run runs another command of the program on the same database, to its end.
func (s *server) run(ctx context.Context, command string, args ...string) error {
	cmd := exec.CommandContext(ctx, s.binary, append(append([]string{command}, s.db.flags...), args...)...)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	return cmd.Run()
}

// start starts the server and returns when it is ready.
func (s *server) start(ctx context.Context) error {
	var err error
	if s.address, err = freeAddress(ctx); err != nil {
		return err
	}
	log, err := os.OpenFile(s.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close() // the child has its own
	// An interrupt ends the measurement, which then stops the server as an operator would.
	s.process = exec.CommandContext(context.WithoutCancel(ctx), s.binary, append([]string{"serve", "--listen", s.address, s.way()}, s.db.flags...)...)
	s.process.Stdout, s.process.Stderr = log, log
	if err := s.process.Start(); err != nil {
		return err
	}
	s.ended = make(chan error, 1)
	go func() { s.ended <- s.process.Wait() }()
	if err := s.ready(ctx); err != nil || s.open {
		return err
	}
	return s.makeKey(ctx)
}

// way is the flag that says who is let in. A load is more than any caller may ask for: so there are no limits.
func (s *server) way() string {
	if s.open {
		return "--insecure-no-auth"
	}
	return "--rate-limits=false"
}

// makeKey has the program make an API key that may do everything with records.
func (s *server) makeKey(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, s.binary, append([]string{"apikey", "create", "--name", "bench", "--scope", "system/*.cruds"}, s.db.flags...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("apikey: %w", err)
	}
	s.key = strings.TrimSpace(string(out))
	return nil
}

func freeAddress(ctx context.Context) (string, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

func (s *server) ready(ctx context.Context) error {
	for began := time.Now(); time.Since(began) < time.Minute; time.Sleep(5 * time.Millisecond) {
		select {
		case err := <-s.ended:
			s.process = nil
			return fmt.Errorf("the server ended before it was ready: %w\n%s", err, s.tail())
		default:
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.address+"/readyz", nil)
		if err != nil {
			return err
		}
		answer, err := http.DefaultClient.Do(req)
		if err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			continue
		}
		_ = answer.Body.Close()
		if answer.StatusCode == http.StatusOK {
			return nil
		}
	}
	return errors.Join(errors.New("the server is not ready after a minute"), s.stop())
}

// tail is the end of the log.
func (s *server) tail() string {
	text, err := os.ReadFile(s.log)
	if err != nil {
		return ""
	}
	return string(text[max(0, len(text)-2000):])
}

// stop asks the server to end, and waits for it.
func (s *server) stop() error {
	if s.process == nil {
		return nil
	}
	p := s.process
	s.process = nil
	if err := p.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case err := <-s.ended:
		return err
	case <-time.After(time.Minute):
		_ = p.Process.Kill()
		return errors.New("the server did not stop within a minute")
	}
}

// memory returns what the server has resident now, and had at most, in KB; 0 where the system does not tell.
func (s *server) memory() (resident, peak int) {
	if s.process == nil {
		return 0, 0
	}
	text, err := os.ReadFile("/proc/" + strconv.Itoa(s.process.Process.Pid) + "/status")
	if err != nil {
		return 0, 0
	}
	return statusKB(text, "VmRSS:"), statusKB(text, "VmHWM:")
}

func statusKB(status []byte, name string) int {
	_, rest, _ := bytes.Cut(status, []byte(name))
	fields := strings.Fields(string(rest[:min(len(rest), 64)]))
	if len(fields) == 0 {
		return 0
	}
	n, err := strconv.Atoi(fields[0])
	if err != nil {
		return 0
	}
	return n
}
