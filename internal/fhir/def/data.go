package def

import (
	"compress/gzip"
	_ "embed"
	"io"
	"strings"
)

// packed is what generate/ made of the R4 package.
//
//go:embed r4.txt.gz
var packed string

// unpack returns the text that parse reads.
func unpack() (string, error) {
	z, err := gzip.NewReader(strings.NewReader(packed))
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.Grow(1 << 20)
	if _, err := io.Copy(&b, z); err != nil {
		return "", err
	}
	return b.String(), nil
}
