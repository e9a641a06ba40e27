package scenario

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// splits are the processes of a split server: a service alone, some together. The first one brings the tables forward; the gateway comes last.
var splits = []string{"auth", "clinical,facility", "scheduling", "lab,medication,billing", "notification", "fhir", "gateway"}

var isReady = regexp.MustCompile(`ready after`)

// startSplit starts a process for each of splits, on free ports, and returns the gateway's root, once it hands requests on to all of them.
func (s *server) startSplit(ts *testscript.TestScript, args []string) string {
	at := map[string]string{}
	var ports []string
	for _, target := range splits {
		for name := range strings.SplitSeq(target, ",") {
			at[name] = freeAddress(ts)
			_, port, err := net.SplitHostPort(at[name])
			ts.Check(err)
			ports = append(ports, name+"="+port)
			ts.Setenv("AT_"+strings.ToUpper(name), "http://"+at[name])
		}
	}
	root := "http://" + at["gateway"]
	data := ts.Getenv("NILECARE_DATA")
	ts.Check(os.MkdirAll(data, 0o700))
	for _, target := range splits {
		common := []string{"--target", target, "--ports", strings.Join(ports, ","), "--base-url", root, "--proxies", "127.0.0.1", "--root-key-file", filepath.Join(data, "root.key"),
			"--data", filepath.Join(data, strings.ReplaceAll(target, ",", "-"))}
		s.start(ts, append(common, args...), isReady)
	}
	for _, address := range at {
		untilReady(ts, "http://"+address)
	}
	return root
}

// freeAddress is an address of this machine that nobody listens at just now.
func freeAddress(ts *testscript.TestScript) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	defer func() { ts.Check(l.Close()) }()
	return l.Addr().String()
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
