package main

import (
	"encoding/binary"
	"slices"
)

// gram is how long the pieces are that are counted: shorter ones are rarely worth a reference.
const gram = 8

// cover picks size bytes of segments that hold as much as possible of what the samples have in common. It is the greedy cover that zstd's own
// trainer uses: the samples are cut into as many parts as there are segments to pick; of each part the segment is taken whose
// grams occur in most samples; what it covers counts no more. The best stand last, nearest to what will be packed.
func cover(samples [][]byte, size, segment int) []byte {
	counts := gramCounts(samples)
	all := slices.Concat(samples...)
	rounds := max(size/segment, 1)
	// Several rounds over fewer, larger parts let rich parts give more than one segment.
	const passes = 4
	parts := max(rounds/passes, 1)
	type pick struct {
		text  []byte
		score uint64
	}
	var picks []pick
	total := 0
	for pass := 0; pass < 4*passes && total < size; pass++ {
		for p := 0; p < parts && total < size; p++ {
			text, score := best(all[len(all)*p/parts:len(all)*(p+1)/parts], counts, segment)
			if score == 0 {
				continue
			}
			picks = append(picks, pick{text, score})
			total += len(text)
			for i := 0; i+gram <= len(text); i++ {
				delete(counts, key(text[i:]))
			}
		}
	}
	slices.SortStableFunc(picks, func(a, b pick) int {
		switch {
		case a.score < b.score:
			return -1
		case a.score > b.score:
			return 1
		}
		return 0
	})
	var out []byte
	for _, p := range picks {
		out = append(out, p.text...)
	}
	if len(out) > size {
		out = out[len(out)-size:]
	}
	return out
}

func key(b []byte) uint64 { return binary.LittleEndian.Uint64(b) }

// gramCounts says in how many samples each gram occurs; what only one sample has is no one's gain.
func gramCounts(samples [][]byte) map[uint64]uint32 {
	counts := make(map[uint64]uint32)
	last := make(map[uint64]int)
	for n, s := range samples {
		for i := 0; i+gram <= len(s); i++ {
			k := key(s[i:])
			if seen, ok := last[k]; ok && seen == n {
				continue
			}
			last[k] = n
			counts[k]++
		}
	}
	for k, c := range counts {
		if c < 2 {
			delete(counts, k)
		}
	}
	return counts
}

// best returns the segment of text with the highest sum of counts over its different grams, cut at both ends to what counts.
func best(text []byte, counts map[uint64]uint32, segment int) ([]byte, uint64) {
	var score, top uint64
	at, inside := 0, make(map[uint64]int)
	width := segment - gram + 1
	for i := 0; i+gram <= len(text); i++ {
		k := key(text[i:])
		if inside[k]++; inside[k] == 1 {
			score += uint64(counts[k])
		}
		if i >= width {
			old := key(text[i-width:])
			if inside[old]--; inside[old] == 0 {
				score -= uint64(counts[old])
				delete(inside, old)
			}
		}
		if score > top {
			top, at = score, max(i-width+1, 0)
		}
	}
	if top == 0 {
		return nil, 0
	}
	return trim(text[at:min(at+segment, len(text))], counts), top
}

func trim(s []byte, counts map[uint64]uint32) []byte {
	for len(s) > gram && counts[key(s)] == 0 {
		s = s[1:]
	}
	for len(s) > gram && counts[key(s[len(s)-gram:])] == 0 {
		s = s[:len(s)-1]
	}
	return s
}
