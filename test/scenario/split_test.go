package scenario

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// splits are the processes of a split server: a service alone, some together. The first one brings the tables forward; the gateway comes last.
var splits = []string{"auth", "clinical,facility", "scheduling", "lab,medication,billing", "notification", "fhir", "gateway"}

var isReady = regexp.MustCompile(`ready after`)

// startSplit starts a process for each of splits, on free ports, and returns the gateway's root, once it hands requests on to all of them.
func (s *server) startSplit(ts *testscript.TestScript, args []string) string {
	twice := ""
	if len(args) > 1 && args[0] == "-twice" {
		twice, args = args[1], args[2:]
	}
	at := map[string]string{}
	var chosen []string
	for _, target := range splits {
		for name := range strings.SplitSeq(target, ",") {
			at[name] = freeAddress(ts)
			_, port, err := net.SplitHostPort(at[name])
			ts.Check(err)
			chosen = append(chosen, name+"="+port)
			ts.Setenv("AT_"+strings.ToUpper(name), "http://"+at[name])
		}
	}
	root := "http://" + at["gateway"]
	data := ts.Getenv("NILECARE_DATA")
	ts.Check(os.MkdirAll(data, 0o700))
	all := splits
	if twice != "" {
		at["again"] = freeAddress(ts)
		args = append([]string{"--peers", fmt.Sprintf("%s=http://%s|http://%s", twice, at[twice], at["again"])}, args...)
		all = slices.Insert(slices.Clone(splits), 1, twice)
	}
	for i, target := range all {
		if i == 1 && twice != "" { // the second of its kind, at its own port
			chosen = append(chosen, twice+"="+strings.TrimPrefix(at["again"], "127.0.0.1:"))
		}
		common := []string{"--target", target, "--ports", strings.Join(chosen, ","), "--base-url", root, "--proxies", "127.0.0.1", "--root-key-file", filepath.Join(data, "root.key"),
			"--data", filepath.Join(data, fmt.Sprint(i))}
		s.start(ts, append(common, args...), isReady)
		s.processes[len(s.processes)-1].target = target
		if i == 1 && twice != "" {
			chosen = chosen[:len(chosen)-1]
		}
	}
	for _, address := range at {
		untilReady(ts, "http://"+address)
	}
	return root
}

// lose is `lose SERVICE`: ends the first process of that service by SIGKILL.
func lose(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: lose SERVICE")
	}
	for _, s := range ts.Value(scriptKey{}).(*script).running {
		for i, p := range s.processes {
			if p.target == args[0] {
				ts.Check(p.cmd.Process.Kill())
				<-p.done
				s.processes = slices.Delete(s.processes, i, i+1)
				return
			}
		}
	}
	ts.Fatalf("no process is %s", args[0])
}

// ports are those that were given out: below the ones that systems give to outgoing connections, any of which may take a port between here and its use.
var ports atomic.Int64

const firstPort, allPorts = 10_000, 9_000

// freeAddress is an address of this machine that nobody listens at just now, and that no other script was given.
func freeAddress(ts *testscript.TestScript) string {
	for range 1_000 {
		port := firstPort + (int64(os.Getpid())*97+ports.Add(1))%allPorts
		if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			ts.Check(l.Close())
			return l.Addr().String()
		}
	}
	ts.Fatalf("no port is free")
	return ""
}

func untilReady(ts *testscript.TestScript, root string) {
	why := ""
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		res, err := http.Get(root + "/readyz")
		if err != nil {
			why = err.Error()
			continue
		}
		_ = res.Body.Close()
		if why = fmt.Sprint(res.StatusCode); res.StatusCode == http.StatusOK {
			return
		}
	}
	ts.Fatalf("%s is not ready after 20 s: %s", root, why)
}
