package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/nilecare/nilecare/internal/app/config"
	"github.com/nilecare/nilecare/internal/app/importer"
	"github.com/nilecare/nilecare/internal/app/source"
)

// importMaxEntries is how many entries a Bundle of an import may have: more than a client may send, since the operator sends it.
const importMaxEntries = 200_000

// shownRefusals is how many refusals are said on the terminal; a report file gets all.
const shownRefusals = 20

type importFlags struct {
	server, report string
	keyFile        string
	again          bool
	workers        int
}

func buildImport(p *Program) ([]config.Setting, func(context.Context, []string) error) {
	f := &importFlags{}
	own := []config.Setting{
		{Name: "server", Value: config.URL(&f.server, "http", "https"), Help: "FHIR base URL of a running server to import into, instead of the database itself"},
		{Name: "api-key-file", Value: config.Text(&f.keyFile), Help: "file of the API key that the server of --server is asked with"},
		{Name: "report", Value: config.Text(&f.report), Help: "file that gets one JSON line for each thing that was refused"},
		{Name: "again", Default: "false", Value: config.Bool(&f.again), Help: "import what an earlier run imported already, too"},
		{Name: "workers", Default: fmt.Sprint(max(4, 4*runtime.GOMAXPROCS(0))), Value: config.Count(&f.workers), Help: "how many requests are under way at once"},
	}
	return own, func(ctx context.Context, paths []string) error { return p.importFiles(ctx, f, paths) }
}

// importFiles writes what the paths hold. It fails where anything was refused.
func (p *Program) importFiles(ctx context.Context, f *importFlags, paths []string) (err error) {
	files, ignored, err := source.Find(paths)
	if err != nil {
		return err
	}
	if len(ignored) > 0 {
		fmt.Fprintf(p.Err, "import: %d files of other kinds are left out, such as %s\n", len(ignored), ignored[0])
	}
	o := importer.Options{Workers: f.workers}
	end, err := p.importDoor(ctx, f, &o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, end()) }()

	journal := p.journalPath(f)
	if f.again {
		if err := importer.Forget(journal); err != nil {
			return err
		}
	}
	if o.Journal, err = importer.OpenJournal(journal); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, o.Journal.Close()) }()

	tell, endReport, err := p.refusals(f.report)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, endReport()) }()
	o.Refused = tell
	return p.runImport(ctx, importer.New(o), files)
}

// runImport shows how the import goes on, and what became of it.
func (p *Program) runImport(ctx context.Context, im *importer.Importer, files []source.File) error {
	stop, shown := make(chan struct{}), make(chan struct{})
	terminal, width := p.terminal()
	go func() {
		defer close(shown)
		importer.Show(p.Err, terminal, width, im.Progress, stop)
	}()
	err := im.Run(ctx, files)
	close(stop)
	<-shown
	s := im.Progress()
	seconds := max(s.Elapsed.Seconds(), 0.001)
	fmt.Fprintf(p.Out, "imported %d resources in %s (%.0f a second), %d refused, %d skipped because an earlier run wrote them\n",
		s.Resources, s.Elapsed.Round(10*time.Millisecond), float64(s.Resources)/seconds, s.Refused, s.Skipped)
	switch {
	case errors.Is(err, context.Canceled):
		return errors.New("import: stopped; run it again to go on where it stood")
	case err != nil:
		return err
	case s.Refused > 0:
		return fmt.Errorf("import: %d refused", s.Refused)
	}
	return nil
}

// importDoor opens the door that the import goes through, and returns what closes it.
func (p *Program) importDoor(ctx context.Context, f *importFlags, o *importer.Options) (func() error, error) {
	if f.server != "" {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.MaxIdleConnsPerHost = o.Workers
		client := &http.Client{Transport: t, Timeout: 10 * time.Minute}
		o.Doer, o.Base = client, f.server
		if f.keyFile != "" {
			key, err := secretFile(f.keyFile)
			if err != nil {
				return nil, err
			}
			o.Doer = withKey{client, key}
		}
		return func() error { t.CloseIdleConnections(); return nil }, nil
	}
	store, err := p.open(ctx)
	if err != nil {
		if p.cfg.Database == "" && serverRuns(ctx, p.cfg.Data) {
			err = fmt.Errorf("%w: a server runs on it; import through that with --server http://%s%s", err, p.cfg.Listen, fhirPath)
		}
		return nil, err
	}
	// Notes about a database that was emptied since are wrong.
	empty, err := store.empty(ctx)
	if err == nil && empty {
		err = importer.Forget(p.journalPath(f))
	}
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	o.Doer, o.Base = importer.InProcess(p.fhirHandler(store, nil, importMaxEntries)), "http://localhost"+fhirPath
	return store.Close, nil
}

// withKey sends an API key along.
type withKey struct {
	client *http.Client
	key    string
}

// Do implements importer.Doer.
func (d withKey) Do(r *http.Request) (*http.Response, error) {
	r.Header.Set("Authorization", "Bearer "+d.key)
	return d.client.Do(r)
}

// secretFile reads a file that holds one secret; a line's end behind it does not count.
func secretFile(path string) (string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	secret := strings.TrimRight(string(text), "\r\n")
	if secret == "" {
		return "", fmt.Errorf("%s is empty", path)
	}
	return secret, nil
}

// journalPath is a file of its own for each target, in the data folder.
func (p *Program) journalPath(f *importFlags) string {
	name := "embedded"
	for _, target := range []string{p.cfg.Database, f.server} {
		if target != "" {
			sum := sha256.Sum256([]byte(config.HidePassword(target)))
			name = hex.EncodeToString(sum[:8])
		}
	}
	return filepath.Join(p.cfg.Data, "imports", name+".journal")
}

// refusals returns what tells of a refusal: the first ones to the terminal, all to the report file.
func (p *Program) refusals(report string) (tell func(importer.Refusal), end func() error, err error) {
	var file *os.File
	lines := json.NewEncoder(io.Discard)
	end = func() error { return nil }
	if report != "" {
		if file, err = os.OpenFile(report, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600); err != nil {
			return nil, nil, fmt.Errorf("report: %w", err)
		}
		lines, end = json.NewEncoder(file), file.Close
	}
	lines.SetEscapeHTML(false)
	terminal, _ := p.terminal()
	n := 0
	return func(r importer.Refusal) {
		if n++; n <= shownRefusals {
			clear := ""
			if terminal {
				clear = "\r\x1b[K"
			}
			fmt.Fprintf(p.Err, "%srefused: %s\n", clear, refusalLine(r))
		} else if n == shownRefusals+1 {
			fmt.Fprintln(p.Err, "refused: more; --report FILE lists all")
		}
		if e := lines.Encode(r); e != nil && err == nil {
			err = e
			fmt.Fprintln(p.Err, "report:", e)
		}
	}, end, nil
}

func refusalLine(r importer.Refusal) string {
	var b strings.Builder
	b.WriteString(r.Source)
	if r.Line > 0 {
		fmt.Fprintf(&b, " line %d", r.Line)
	}
	if r.Entry != "" {
		b.WriteString(" " + r.Entry)
	}
	if r.Status > 0 {
		fmt.Fprintf(&b, ": %d", r.Status)
	}
	b.WriteString(": " + r.Reason)
	return b.String()
}

// isTerminal reports whether a stream of the program is a terminal.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// terminal reports whether standard error is one, and its width.
func (p *Program) terminal() (bool, int) {
	if !isTerminal(p.Err) {
		return false, 0
	}
	width, _, err := term.GetSize(int(p.Err.(*os.File).Fd()))
	if err != nil {
		width = 80
	}
	return true, width
}
