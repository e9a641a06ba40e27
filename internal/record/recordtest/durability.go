package recordtest

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/record"
)

// testDurability kills a writing process again and again, NILECARE_KILL_ROUNDS times (default 10): what it was told is
// written must be there, and every set whole or absent.
func testDurability(t *testing.T, h Harness) {
	p := h.New(t)
	k := &killed{place: p, acknowledged: map[string]bool{}, counters: map[int]int64{}}
	b := openBench(t, p, record.Options{})
	for w := range killWriters {
		b.write(update(counterID(w), res(t, `{"resourceType":"Patient","multipleBirthInteger":0}`)))
		k.counters[w] = 1
	}
	if err := b.store.Close(); err != nil {
		t.Fatal(err)
	}
	rounds := envInt("NILECARE_KILL_ROUNDS", 10)
	for round := range rounds {
		k.round(t)
		// The write-ahead log of a killed process is read at the next opening.
		b := openBench(t, p, record.Options{})
		k.judge(b, round == rounds-1)
		b.sound()
		if err := b.store.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d rounds, %d sets acknowledged", rounds, len(k.acknowledged))
	if len(k.acknowledged) < rounds {
		t.Errorf("%d sets in %d rounds are no load", len(k.acknowledged), rounds)
	}
}

type killed struct {
	place        Place
	acknowledged map[string]bool
	fresh        []string
	counters     map[int]int64
}

// round starts a writer and kills it some time after its first acknowledgement.
func (k *killed) round(t *testing.T) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(append(os.Environ(), childDir+"="+k.place.Dir), k.place.Env...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	timeout := time.AfterFunc(20*time.Second, func() { _ = cmd.Process.Kill() })
	defer timeout.Stop()
	k.fresh = nil
	scanner := bufio.NewScanner(out)
	for first := true; scanner.Scan(); first = false {
		if first {
			time.AfterFunc(time.Duration(rand.IntN(250))*time.Millisecond, func() { _ = cmd.Process.Kill() })
		}
		k.note(t, scanner.Text())
	}
	_ = cmd.Wait()
	if len(k.fresh) == 0 {
		t.Fatal("the writer was told of nothing")
	}
}

func (k *killed) note(t *testing.T, line string) {
	t.Helper()
	f := strings.Fields(line)
	if len(f) != 3 {
		return // cut by the kill
	}
	w, err1 := strconv.Atoi(f[1])
	vid, err2 := strconv.ParseInt(f[2], 10, 64)
	if err1 != nil || err2 != nil {
		t.Errorf("the writer said %q", line)
	}
	k.acknowledged[f[0]] = true
	k.fresh = append(k.fresh, f[0])
	k.counters[w] = max(k.counters[w], vid)
}

// judge looks for the sets of the round, or of all.
func (k *killed) judge(b *bench, all bool) {
	b.Helper()
	present := map[string]int{}
	for _, typ := range []string{"Patient", "Observation"} {
		vs, err := b.all(query(b, typ, "identifier", "urn:kill|", "_count", "1000"))
		if err != nil {
			b.Fatal(err)
		}
		for _, v := range vs {
			r, err := v.Resource()
			if err != nil {
				b.Fatal(err)
			}
			present[r.Get("identifier").First().Str("value")]++
		}
	}
	for name, n := range present {
		if n != setSize {
			b.Errorf("of set %s there are %d resources, want %d", name, n, setSize)
		}
	}
	for name := range k.acknowledged {
		if present[name] == 0 {
			b.Errorf("the acknowledged set %s is lost", name)
		}
	}
	names := k.fresh
	if all {
		for name := range k.acknowledged {
			names = append(names, name)
		}
	}
	for _, name := range names[:min(len(names), 50)] {
		b.read("Patient", "k-"+name)
		b.read("Observation", fmt.Sprintf("k-%s-%d", name, 2))
		if got := b.find("Observation", "patient", "k-"+name); len(got) != setSize-1 {
			b.Errorf("%d observations point to the patient of set %s", len(got), name)
		}
		b.finds([]string{"k-" + name}, "Patient", "identifier", "urn:kill|"+name)
	}
	k.judgeCounters(b)
	if v, err := b.store.Read(b.ctx, "Patient", "k-never"); !fault.Is(err, fault.NotFound) {
		b.Errorf("%v, %v", v, err)
	}
}

// judgeCounters demands that a counter stands where the writer was told, or one step further: the one under way.
func (k *killed) judgeCounters(b *bench) {
	b.Helper()
	for w, told := range k.counters {
		v := b.read("Patient", counterID(w))
		if v.VID != told && v.VID != told+1 {
			b.Errorf("counter %d stands at version %d and was told %d", w, v.VID, told)
		}
		if got := member(b, v, "multipleBirthInteger"); got != strconv.FormatInt(v.VID-1, 10) {
			b.Errorf("counter %d says %s in version %d", w, got, v.VID)
		}
		k.counters[w] = v.VID
	}
}
