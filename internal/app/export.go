package app

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/nilecare/nilecare/internal/app/config"
)

type exportFlags struct{ types string }

func buildExport(p *Program) ([]config.Setting, func(context.Context, []string) error) {
	f := &exportFlags{}
	own := []config.Setting{{Name: "type", Value: config.Text(&f.types), Help: "only these resource types, parted by commas"}}
	return own, func(ctx context.Context, args []string) error { return p.export(ctx, f, args[0]) }
}

// export is `export FOLDER`: writes an .ndjson file a type of all current resources, as they stood at one moment; "-" writes all of them to
// standard output.
func (p *Program) export(ctx context.Context, f *exportFlags, folder string) error {
	params := url.Values{}
	for t := range strings.SplitSeq(f.types, ",") {
		if t = strings.TrimSpace(t); t != "" {
			params.Add("type", t)
		}
	}
	if folder == "-" {
		return p.operate(ctx, "export", params, p.Out)
	}
	w := &byType{folder: folder}
	err := errors.Join(p.operate(ctx, "export", params, w), w.close())
	if err == nil {
		err = os.MkdirAll(folder, 0o700)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(p.Out, "exported %d resources of %d types to %s\n", w.lines, w.files, folder)
	return nil
}

// byType is a writer of lines that puts each into the file of its resource type. Types come one after the other.
type byType struct {
	folder       string
	line         []byte // the part of a line that has come
	typ          string
	file         *os.File
	buf          *bufio.Writer
	lines, files int
}

// Write implements io.Writer.
func (b *byType) Write(data []byte) (int, error) {
	n := len(data)
	for {
		i := bytes.IndexByte(data, '\n')
		if i < 0 {
			b.line = append(b.line, data...)
			return n, nil
		}
		b.line = append(b.line, data[:i+1]...)
		data = data[i+1:]
		if err := b.put(); err != nil {
			return 0, err
		}
		b.line = b.line[:0]
	}
}

// put writes the line. The store writes resourceType as the first member.
func (b *byType) put() error {
	const begin = `{"resourceType":"`
	typ, _, ok := strings.Cut(strings.TrimPrefix(string(b.line[:min(len(b.line), 100)]), begin), `"`)
	if !ok || !bytes.HasPrefix(b.line, []byte(begin)) {
		return errors.New("export: a resource does not begin with its type")
	}
	if typ != b.typ {
		if err := b.close(); err != nil {
			return err
		}
		// Made when there is something to put in, so that an export that fails at once leaves nothing.
		if err := os.MkdirAll(b.folder, 0o700); err != nil {
			return fmt.Errorf("export: %w", err)
		}
		f, err := os.OpenFile(filepath.Join(b.folder, typ+".ndjson"), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return fmt.Errorf("export: %w", err)
		}
		b.typ, b.file, b.buf = typ, f, bufio.NewWriterSize(f, 1<<16)
		b.files++
	}
	b.lines++
	_, err := b.buf.Write(b.line)
	return err
}

func (b *byType) close() error {
	if b.file == nil {
		return nil
	}
	err := errors.Join(b.buf.Flush(), b.file.Sync(), b.file.Close())
	b.file, b.typ = nil, ""
	return err
}

var _ io.Writer = (*byType)(nil)
