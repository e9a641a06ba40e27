package importer

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// Show writes how an import goes on until stop is closed: on a terminal a bar that moves, elsewhere a line every ten
// seconds. It returns after the last state was written.
func Show(w io.Writer, terminal bool, width int, state func() Progress, stop <-chan struct{}) {
	every := 10 * time.Second
	if terminal {
		every = 200 * time.Millisecond
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	var speed meter
	for {
		select {
		case <-stop:
			if terminal {
				fmt.Fprintf(w, "\r\x1b[K%s\n", Bar(state(), speed.rate, width))
			}
			return
		case <-tick.C:
		}
		p := state()
		speed.add(p, every)
		if terminal {
			fmt.Fprintf(w, "\r\x1b[K%s", Bar(p, speed.rate, width))
		} else {
			fmt.Fprintln(w, Bar(p, speed.rate, 0))
		}
	}
}

// meter smooths the resources a second.
type meter struct {
	rate float64
	last int64
}

func (m *meter) add(p Progress, every time.Duration) {
	now := float64(p.Resources-m.last) / every.Seconds()
	m.last = p.Resources
	if m.rate == 0 {
		m.rate = now
		return
	}
	m.rate += 0.2 * (now - m.rate)
}

// Bar is one line: how much of the files was read, resources written and how fast, and about how long it still takes. Below a
// width of 60 there is no bar.
func Bar(p Progress, rate float64, width int) string {
	part := 0.0
	if p.Total > 0 {
		part = min(1, float64(p.Read)/float64(p.Total))
	}
	text := fmt.Sprintf("%3.0f %%  %s resources  %s/s", part*100, thousands(p.Resources), thousands(int64(rate)))
	if left := left(p, part); left > 0 {
		text += "  " + left.String() + " left"
	}
	if p.Refused > 0 {
		text += fmt.Sprintf("  %s refused", thousands(p.Refused))
	}
	room := min(width-len(text)-3, 40)
	if width < 60 || room < 8 {
		return text
	}
	full := int(part * float64(room))
	return "[" + strings.Repeat("=", full) + strings.Repeat(" ", room-full) + "] " + text
}

// left guesses the time to the end from the time taken so far; 0 where nothing can be said yet.
func left(p Progress, part float64) time.Duration {
	if part < 0.01 || part >= 1 || p.Elapsed < time.Second {
		return 0
	}
	return max(time.Second, time.Duration(float64(p.Elapsed)*(1-part)/part).Round(time.Second))
}

func thousands(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
