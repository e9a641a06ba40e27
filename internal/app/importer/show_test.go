package importer_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/nilecare/nilecare/internal/app/importer"
)

func TestBar(t *testing.T) {
	p := importer.Progress{Read: 25, Total: 100, Resources: 1234567, Refused: 2, Elapsed: 10 * time.Second}
	for width, want := range map[int]string{
		0:   " 25 %  1,234,567 resources  8,000/s  30s left  2 refused",
		100: "[==========                              ]  25 %  1,234,567 resources  8,000/s  30s left  2 refused",
	} {
		if got := importer.Bar(p, 8000.4, width); got != want {
			t.Errorf("width %d: got %q, want %q", width, got, want)
		}
	}
	if got := importer.Bar(importer.Progress{}, 0, 0); got != "  0 %  0 resources  0/s" {
		t.Errorf("got %q", got)
	}
}

func TestShowEndsWithTheLastState(t *testing.T) {
	var out bytes.Buffer
	stop := make(chan struct{})
	close(stop)
	importer.Show(&out, true, 80, func() importer.Progress { return importer.Progress{Read: 1, Total: 1, Resources: 5} }, stop)
	if !strings.Contains(out.String(), "100 %") || !strings.HasSuffix(out.String(), "\n") {
		t.Errorf("got %q", out.String())
	}
}
