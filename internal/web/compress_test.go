package web

import (
	"bytes"
	"fmt"
	"testing"
)

// BenchmarkEncode measures what each coding costs on an answer of one resource and of a page.
func BenchmarkEncode(b *testing.B) {
	one := []byte(`{"resourceType":"Patient","id":"890853865353216","meta":{"versionId":"1","lastUpdated":"2026-11-22T06:53:39.471Z"},` +
		`"identifier":[{"system":"urn:mrn","value":"12345"}],"active":true,"name":[{"use":"official","family":"Benchmark","given":["Amina","Noor"]}],` +
		`"telecom":[{"system":"phone","value":"555-0100"}],"gender":"female","birthDate":"1990-02-03","address":[{"line":["1 Main Street"],"city":"Springfield"}]}`)
	c := newCodecs()
	for _, times := range []int{3, 50} {
		var page []byte
		for i := range times {
			page = append(page, bytes.ReplaceAll(one, []byte("89085386"), []byte(fmt.Sprint(10000000+i*7919)))...)
		}
		for _, k := range []coding{codingGzip, codingBrotli, codingZstd} {
			b.Run(fmt.Sprintf("%s/%d", k, len(page)), func(b *testing.B) {
				b.SetBytes(int64(len(page)))
				b.ReportAllocs()
				n := 0
				for b.Loop() {
					var out counter
					e := c.encoder(k, &out)
					if _, err := e.Write(page); err != nil {
						b.Fatal(err)
					}
					if err := e.Close(); err != nil {
						b.Fatal(err)
					}
					c.recycle(k, e)
					n = int(out)
				}
				b.ReportMetric(float64(n), "bytes")
			})
		}
	}
}

type counter int

func (c *counter) Write(p []byte) (int, error) { *c += counter(len(p)); return len(p), nil }
