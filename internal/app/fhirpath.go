package app

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/nilecare/nilecare/internal/app/source"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/fhir/fhirpath"
)

// fhirPathQuery is `fhirpath EXPRESSION [FILE]`: evaluates the expression on the resource of the file, or of standard input where none is
// named or it is "-", and writes one JSON line a result.
func (p *Program) fhirPathQuery(_ context.Context, args []string) error {
	e, err := fhirpath.Compile(args[0])
	if err != nil {
		return fmt.Errorf("fhirpath: %w", err)
	}
	data, err := p.input(args[1:])
	if err != nil {
		return fmt.Errorf("fhirpath: %w", err)
	}
	ctx := fhirpath.Context{Now: time.Now()}
	if len(bytes.TrimSpace(data)) > 0 {
		if ctx.Resource, err = fhir.ParseResource(data); err != nil {
			return fmt.Errorf("fhirpath: %w", err)
		}
	}
	found, err := e.Eval(ctx)
	if err != nil {
		return fmt.Errorf("fhirpath: %w", err)
	}
	var out []byte
	for _, item := range found {
		out = append(fhirpath.AppendResultJSON(out, item), '\n')
	}
	_, err = p.Out.Write(out)
	return err
}

// input reads the named file, else standard input, where that is no terminal: an expression may do without a resource.
func (p *Program) input(args []string) ([]byte, error) {
	if len(args) > 0 && args[0] != "-" {
		f, err := os.Open(args[0])
		if err != nil {
			return nil, err
		}
		defer f.Close()
		return readAll(f)
	}
	if len(args) == 0 && isTerminal(p.In) {
		return nil, nil
	}
	return readAll(p.In)
}

func readAll(r io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, source.MaxUnit+1))
	if err == nil && len(data) > source.MaxUnit {
		err = fmt.Errorf("the resource is larger than %d MiB", source.MaxUnit>>20)
	}
	return data, err
}
