package app

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"

	"github.com/nilecare/nilecare/internal/app/config"
)

type eraseFlags struct{ sure bool }

func buildErase(p *Program) ([]config.Setting, func(context.Context, []string) error) {
	f := &eraseFlags{}
	own := []config.Setting{{Name: "sure", Default: "false", Value: config.Bool(&f.sure), Help: "do it: nobody can take it back"}}
	return own, func(ctx context.Context, args []string) error { return p.erase(ctx, f, args[0]) }
}

// erase is `erase Patient/ID`: destroys the patient's key, and with it the patient's record.
func (p *Program) erase(ctx context.Context, f *eraseFlags, patient string) error {
	id := strings.TrimPrefix(patient, "Patient/")
	if !f.sure {
		return &config.UsageError{Text: fmt.Sprintf("erase: all that belongs to Patient/%s would be gone for ever; say --sure to do it", id)}
	}
	var out bytes.Buffer
	if err := p.operate(ctx, "erase", url.Values{"patient": {id}}, &out); err != nil {
		return err
	}
	var result struct{ Erased int }
	if err := json.Unmarshal(out.Bytes(), &result); err != nil {
		return fmt.Errorf("erase: %w", err)
	}
	fmt.Fprintf(p.Out, "erased Patient/%s: %d resources, and the key that opened them; backups made before still hold that key, so let them expire\n", id, result.Erased)
	return nil
}
