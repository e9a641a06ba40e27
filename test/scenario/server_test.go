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
	split   bool
	running []*server
}

type scriptKey struct{}

// server is a running `nilecare serve`: one process, or, split, several.
type server struct {
	name      string
	processes []*process // in the order in which they were started
}

// process is one of them.
type process struct {
	target string // "": everything
	cmd    *exec.Cmd
	said   bytes.Buffer // standard error
	done   chan error
}

// serve is `serve [NAME] [--FLAG VALUE]…`: starts a server and waits until it serves; its FHIR base is in $BASE, its root in $ROOT. Split, that is the
// gateway's, and each service's own address is in $AT_SERVICE; `serve -twice SERVICE` runs one of them in two processes.
func serve(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("! serve: use ! exec nilecare serve")
	}
	s := &server{name: "server"}
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		s.name, args = args[0], args[1:]
	}
	state := ts.Value(scriptKey{}).(*script)
	state.running = append(state.running, s)
	root := ""
	if state.split {
		root = s.startSplit(ts, args)
	} else {
		line := s.start(ts, args, serves)
		root = strings.TrimSuffix(serves.FindString(line), "/fhir/R4")
	}
	ts.Setenv("ROOT", root)
	ts.Setenv("BASE", root+"/fhir/R4")
}

var serves = regexp.MustCompile(`http://127\.0\.0\.1:\d+/fhir/R4`)

// start starts a process and returns the first line of its output that fits.
func (s *server) start(ts *testscript.TestScript, args []string, fits *regexp.Regexp) string {
	program, err := exec.LookPath("nilecare")
	ts.Check(err)
	p := &process{done: make(chan error, 1), cmd: exec.Command(program, append([]string{"serve"}, args...)...)}
	p.cmd.Dir = ts.MkAbs(".")
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "NILECARE_DATA", "NILECARE_DATABASE", "NILECARE_LISTEN", "NILECARE_LOG_LEVEL", "NILECARE_INSECURE_NO_AUTH", "NILECARE_KAFKA_BROKERS"} {
		p.cmd.Env = append(p.cmd.Env, name+"="+ts.Getenv(name))
	}
	p.cmd.Stderr = &p.said
	out, err := p.cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(p.cmd.Start())
	s.processes = append(s.processes, p)
	found := make(chan string, 1)
	go func() {
		defer close(found)
		lines := bufio.NewScanner(out)
		for told := false; lines.Scan(); {
			if !told && fits.MatchString(lines.Text()) {
				found <- lines.Text()
				told = true
			}
		}
		p.done <- p.cmd.Wait()
		close(p.done) // whoever asks again is not kept waiting
	}()
	select {
	case line := <-found:
		if line == "" {
			ts.Fatalf("the server ended: %v\n%s", <-p.done, p.said.String())
		}
		return line
	case <-time.After(20 * time.Second):
		ts.Fatalf("the server does not serve after 20 s")
	}
	return ""
}

// stop is `stop [-KILL] [NAME]`: SIGTERM, after which the server must end by itself and without an error, or SIGKILL. Split, the gateway goes first.
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
	for _, p := range slices.Backward(s.processes) {
		ts.Check(p.cmd.Process.Signal(signal))
		select {
		case err := <-p.done:
			_, err2 := io.WriteString(ts.Stderr(), p.said.String())
			ts.Check(err2)
			if signal == syscall.SIGTERM && err != nil {
				ts.Fatalf("after SIGTERM: %v\n%s", err, p.said.String())
			}
		case <-time.After(20 * time.Second):
			_ = p.cmd.Process.Kill()
			ts.Fatalf("the server runs on after SIGTERM")
		}
	}
}

// stopAll ends what a script left running.
func (s *script) stopAll() {
	for _, r := range s.running {
		for _, p := range r.processes {
			_ = p.cmd.Process.Kill()
			<-p.done
		}
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
