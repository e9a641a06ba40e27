// Command generate trains the dictionary of package pack.
//
// The samples are bodies as the store keeps them, of the synthetic hospital and of the official R4 examples (npm package
// hl7.fhir.r4.examples 4.0.1, CC0), which `make fixtures` fetches. The same samples give the same dictionary.
package main

import (
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"

	"github.com/klauspost/compress/zstd"
)

func main() {
	out := flag.String("out", "fhir1.dict", "file to write")
	id := flag.Uint("id", 1, "number of the dictionary, which frames name; a new dictionary needs a new one")
	size := flag.Int("size", 48<<10, "bytes of content")
	segment := flag.Int("segment", 400, "bytes of one piece")
	examples := flag.String("examples", "../../.cache/r4-examples/package", "folder of the official examples")
	patients := flag.Int("patients", 100, "synthetic patients to learn from")
	flag.Parse()
	if err := run(*out, uint32(*id), *size, *segment, *examples, *patients); err != nil {
		slog.Error("no dictionary", "error", err)
		os.Exit(1)
	}
}

func run(out string, id uint32, size, segment int, examples string, patients int) error {
	official, err := exampleBodies(examples)
	if err != nil {
		return err
	}
	own, err := hospitalBodies(patients)
	if err != nil {
		return err
	}
	groups := [][][]byte{official, own}
	dict, err := train(id, groups, size, segment)
	if err != nil {
		return err
	}
	fmt.Printf("%s: dictionary %d, %d bytes, of %d official and %d own bodies\n", out, id, len(dict), len(official), len(own))
	return os.WriteFile(out, dict, 0o644)
}

// train puts the groups' shares one behind the other, the last nearest to the text, and fits the entropy tables to all samples.
func train(id uint32, groups [][][]byte, size, segment int) ([]byte, error) {
	var history []byte
	var samples [][]byte
	for _, g := range groups {
		if len(g) == 0 {
			return nil, errors.New("a group of samples is empty")
		}
		history = append(history, cover(g, size/len(groups), segment)...)
		samples = append(samples, g...)
	}
	return zstd.BuildDict(zstd.BuildDictOptions{ID: id, Contents: samples, History: history, Offsets: [3]int{1, 4, 8}, Level: zstd.SpeedFastest})
}
