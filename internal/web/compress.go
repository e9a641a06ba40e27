package web

import (
	"io"
	"strconv"
	"strings"
	"sync"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// coding is a content coding of an answer. The order is our preference.
type coding uint8

const (
	identity coding = iota
	codingGzip
	codingBrotli
	codingZstd
)

var codingNames = [...]string{"identity", "gzip", "br", "zstd"}

// String returns the coding's name in HTTP.
func (c coding) String() string { return codingNames[c] }

// encoder is a compressing writer.
type encoder interface {
	io.Writer
	Flush() error
	Close() error
	Reset(io.Writer)
}

// acceptedCoding reads Accept-Encoding (RFC 9110 12.5.3): the coding of the highest quality, among equals the one we
// prefer. "*" stands for gzip, which everybody reads.
func acceptedCoding(values []string) coding {
	best, bestQ := identity, 0.0
	for _, v := range values {
		for v != "" {
			var item string
			item, v, _ = strings.Cut(v, ",")
			name, q := quality(item)
			c := identity
			switch {
			case strings.EqualFold(name, "zstd"):
				c = codingZstd
			case strings.EqualFold(name, "br"):
				c = codingBrotli
			case strings.EqualFold(name, "gzip"), strings.EqualFold(name, "x-gzip"), name == "*":
				c = codingGzip
			}
			if c != identity && q > 0 && (q > bestQ || q == bestQ && c > best) {
				best, bestQ = c, q
			}
		}
	}
	return best
}

// quality splits "name;q=0.5" into name and quality; without q it is 1, a q that is no number is 0.
func quality(item string) (name string, q float64) {
	name, params, has := strings.Cut(item, ";")
	name = strings.TrimSpace(name)
	if !has {
		return name, 1
	}
	for p := range strings.SplitSeq(params, ";") {
		k, v, _ := strings.Cut(strings.TrimSpace(p), "=")
		if strings.EqualFold(k, "q") {
			f, err := strconv.ParseFloat(v, 64)
			if err != nil {
				return name, 0
			}
			return name, f
		}
	}
	return name, 1
}

// compressible reports whether bodies of this media type shrink.
func compressible(contentType string) bool {
	return strings.Contains(contentType, "json") || strings.HasPrefix(contentType, "text/") ||
		strings.Contains(contentType, "xml") || strings.Contains(contentType, "javascript")
}

// brotliLevel compresses as well as the higher ones do on FHIR's JSON, ten times as fast as level 3 (BenchmarkEncode).
const brotliLevel = 1

// codecs keeps compressors and decompressors for reuse: each holds tables that cost more to make than an answer to send.
type codecs struct {
	encoders [len(codingNames)]sync.Pool
	gunzip   sync.Pool
	inflate  sync.Pool
	unzstd   sync.Pool
}

func newCodecs() *codecs {
	c := &codecs{}
	c.encoders[codingGzip].New = func() any {
		// The level is a constant that the package knows: no error can come.
		w, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed)
		return w
	}
	c.encoders[codingBrotli].New = func() any { return brotli.NewWriterLevel(nil, brotliLevel) }
	c.encoders[codingZstd].New = func() any {
		// As above: these options are valid together.
		w, _ := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
			zstd.WithWindowSize(256<<10), zstd.WithLowerEncoderMem(true))
		return w
	}
	c.gunzip.New = func() any { return new(gzip.Reader) }
	c.inflate.New = func() any { return flate.NewReader(nil) }
	c.unzstd.New = func() any {
		// As above. A frame that needs a larger window is an error of the reader.
		r, _ := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(8<<20))
		return r
	}
	return c
}

func (c *codecs) encoder(k coding, w io.Writer) encoder {
	e := c.encoders[k].Get().(encoder)
	e.Reset(w)
	return e
}

func (c *codecs) recycle(k coding, e encoder) {
	e.Reset(nil)
	c.encoders[k].Put(e)
}
