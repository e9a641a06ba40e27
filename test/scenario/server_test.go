package scenario

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// script is the state of one script: the servers that it started.
type script struct {
	server  string
	running []*server
}

type scriptKey struct{}

// server is a running `nilecare serve`.
type server struct {
	name string
	cmd  *exec.Cmd
	said bytes.Buffer // standard error
	done chan error
}

var serves = regexp.MustCompile(`http://127\.0\.0\.1:\d+/fhir/R4`)

// serve is `serve [NAME] [--FLAG VALUE]…`: starts a server and waits until it serves; its FHIR base is in $BASE.
func serve(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("! serve: use ! exec nilecare serve")
	}
	s := &server{name: "server", done: make(chan error, 1)}
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		s.name, args = args[0], args[1:]
	}
	program, err := exec.LookPath("nilecare")
	ts.Check(err)
	s.cmd = exec.Command(program, append([]string{"serve"}, args...)...)
	s.cmd.Dir = ts.MkAbs(".")
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "NILECARE_DATA", "NILECARE_DATABASE", "NILECARE_LISTEN", "NILECARE_LOG_LEVEL", "NILECARE_INSECURE_NO_AUTH"} {
		s.cmd.Env = append(s.cmd.Env, name+"="+ts.Getenv(name))
	}
	s.cmd.Stderr = &s.said
	out, err := s.cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(s.cmd.Start())
	base := make(chan string, 1)
	go func() {
		defer close(base)
		lines := bufio.NewScanner(out)
		for found := false; lines.Scan(); {
			if at := serves.FindString(lines.Text()); at != "" && !found {
				base <- at
				found = true
			}
		}
		s.done <- s.cmd.Wait()
	}()
	state := ts.Value(scriptKey{}).(*script)
	state.running = append(state.running, s)
	select {
	case at := <-base:
		if at == "" {
			ts.Fatalf("the server ended: %v\n%s", <-s.done, s.said.String())
		}
		ts.Setenv("BASE", at)
		ts.Setenv("ROOT", strings.TrimSuffix(at, "/fhir/R4"))
	case <-time.After(20 * time.Second):
		ts.Fatalf("the server does not serve after 20 s")
	}
}

// stop is `stop [-KILL] [NAME]`: SIGTERM, after which the server must end by itself and without an error, or SIGKILL.
func stop(ts *testscript.TestScript, neg bool, args []string) {
	signal := syscall.SIGTERM
	if len(args) > 0 && args[0] == "-KILL" {
		signal, args = syscall.SIGKILL, args[1:]
	}
	name := "server"
	if len(args) > 0 {
		name = args[0]
	}
	state := ts.Value(scriptKey{}).(*script)
	i := slices.IndexFunc(state.running, func(s *server) bool { return s.name == name })
	if neg || i < 0 {
		ts.Fatalf("no server is called %s", name)
	}
	s := state.running[i]
	state.running = slices.Delete(state.running, i, i+1)
	ts.Check(s.cmd.Process.Signal(signal))
	select {
	case err := <-s.done:
		_, err2 := io.WriteString(ts.Stderr(), s.said.String())
		ts.Check(err2)
		if signal == syscall.SIGTERM && err != nil {
			ts.Fatalf("after SIGTERM: %v\n%s", err, s.said.String())
		}
	case <-time.After(20 * time.Second):
		_ = s.cmd.Process.Kill()
		ts.Fatalf("the server runs on after SIGTERM")
	}
}

// stopAll ends what a script left running.
func (s *script) stopAll() {
	for _, r := range s.running {
		_ = r.cmd.Process.Kill()
		<-r.done
	}
}

// request is `http METHOD URL STATUS [-H HEADER]… [FILE]`: sends FILE (application/fhir+json unless a header says otherwise) and
// expects the status. A URL that begins with a slash is below $BASE. The body is in $WORK/body and on stdout, headers are on stderr.
func request(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: http METHOD URL STATUS [-H HEADER]… [FILE]")
	}
	method, url, want := args[0], args[1], args[2]
	if strings.HasPrefix(url, "/") {
		url = ts.Getenv("BASE") + url
	}
	header := http.Header{}
	var body io.Reader
	for args = args[3:]; len(args) > 0; args = args[1:] {
		if args[0] == "-H" {
			name, value, _ := strings.Cut(args[1], ":")
			header.Add(name, strings.TrimSpace(value))
			args = args[1:]
			continue
		}
		body = strings.NewReader(ts.ReadFile(args[0]))
		if header.Get("Content-Type") == "" {
			header.Set("Content-Type", "application/fhir+json")
		}
	}
	req, err := http.NewRequest(method, url, body)
	ts.Check(err)
	for name, values := range header {
		req.Header[name] = values
		if name == "Host" {
			req.Host = values[0]
		}
	}
	resp, err := http.DefaultClient.Do(req)
	ts.Check(err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs("body"), text, 0o600))
	_, err = ts.Stdout().Write(text)
	ts.Check(err)
	ts.Check(resp.Header.Write(ts.Stderr()))
	if got := strconv.Itoa(resp.StatusCode); got != want {
		ts.Fatalf("%s %s: %s, want %s\n%s", method, url, got, want, text)
	}
}
