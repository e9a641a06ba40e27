package clinical_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/module/clinical"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/sqldb"
	"github.com/nilecare/nilecare/internal/storetest"
)

// frequent are given names in several spellings, the most frequent first.
var frequent = [][]string{
	{"Mohamed", "محمد", "Muhammad", "Mohammed"}, {"Ahmed", "أحمد", "Ahmad"}, {"Ali", "علي"}, {"Hassan", "حسن"}, {"Ibrahim", "إبراهيم", "Ebrahim"}, {"Osman", "عثمان", "Othman"}, {"Abdallah", "عبد الله", "Abdullah"},
	{"Fatima", "فاطمة", "Fatma"}, {"Mustafa", "مصطفى"}, {"Abdelrahman", "عبد الرحمن", "Abdulrahman"}, {"Omar", "عمر"}, {"Yousif", "يوسف", "Yusuf"}, {"Adam", "آدم"}, {"Idris", "إدريس"}, {"Hussein", "حسين"},
	{"Elhassan", "الحسن"}, {"Khalid", "خالد", "Khaled"}, {"Salih", "صالح"}, {"Musa", "موسى"}, {"Amna", "آمنة"}, {"Zainab", "زينب"}, {"Babiker", "بابكر"}, {"Eltayeb", "الطيب"}, {"Elamin", "الأمين"}, {"Bashir", "بشير"},
	{"Hamid", "حامد"}, {"Mahmoud", "محمود"}, {"Suleiman", "سليمان"}, {"Ismail", "إسماعيل"}, {"Aisha", "عائشة"}, {"Khadija", "خديجة"}, {"Mariam", "مريم"}, {"Elsadig", "الصادق"}, {"Hamad", "حمد"}, {"Awad", "عوض"},
	{"Kamal", "كمال"}, {"Jamal", "جمال"}, {"Yasir", "ياسر"}, {"Siddig", "صديق"}, {"Abubakr", "أبو بكر"}, {"Zakaria", "زكريا"}, {"Isa", "عيسى"}, {"Haroun", "هارون"}, {"Yagoub", "يعقوب"}, {"Abdelgadir", "عبد القادر"},
	{"Tarig", "طارق"}, {"Imad", "عماد"}, {"Nur", "نور"}, {"Huda", "هدى"}, {"Salma", "سلمى"}, {"Hanan", "حنان"}, {"Rania", "رانيا"}, {"Samia", "سامية"}, {"Nadia", "نادية"}, {"Mubarak", "مبارك"}, {"Elmahdi", "المهدي"},
	{"Seifeldin", "سيف الدين"}, {"Salaheldin", "صلاح الدين"}, {"Hashim", "هاشم"}, {"Hisham", "هشام"}, {"Deng", "Deng"}, {"Garang", "Garang"}, {"Majok", "Majok"}, {"Mirghani", "ميرغني"}, {"Zulfigar", "ذو الفقار"},
}

var onsets, rimes = []string{"b", "t", "j", "h", "kh", "d", "r", "z", "s", "sh", "g", "f", "q", "k", "l", "m", "n", "w", "y"}, []string{"a", "i", "u", "ab", "ar", "an", "im", "il", "ud", "as", "ir", "oum"}

// crowd makes patients of a country where a fifth of all men are called Mohamed.
type crowd struct{ r *rand.Rand }

func (c crowd) word(script int) string {
	if c.r.IntN(100) < 12 { // the long tail
		return onsets[c.r.IntN(len(onsets))] + rimes[c.r.IntN(len(rimes))] + onsets[c.r.IntN(len(onsets))] + rimes[c.r.IntN(len(rimes))]
	}
	// The n-th name is about 1/n as frequent as the first.
	z := rand.NewZipf(c.r, 1.05, 2, uint64(len(frequent)-1))
	all := frequent[z.Uint64()]
	if script == 1 {
		return all[1]
	}
	if len(all) > 2 && c.r.IntN(3) == 0 {
		return all[2+c.r.IntN(len(all)-2)]
	}
	return all[0]
}

func (c crowd) patient(i int) o {
	name := func(script int) o {
		return o{"given": []string{c.word(script) + " " + c.word(script)}, "family": c.word(script)}
	}
	script := c.r.IntN(2)
	all := []o{name(script)}
	if c.r.IntN(5) == 0 {
		all = append(all, name(1-script))
	}
	born := fmt.Sprintf("%d-%02d-%02d", 1940+c.r.IntN(85), 1+c.r.IntN(12), 1+c.r.IntN(28))
	if c.r.IntN(10) < 2 {
		born = born[:4] + "-01-01"
	}
	return o{"name": all, "birthDate": born, "gender": []string{"male", "female"}[c.r.IntN(2)], "active": true,
		"telecom": []o{{"system": "phone", "value": fmt.Sprintf("+2499%08d", i)}}, "address": []o{{"city": []string{"Khartoum", "Omdurman", "Kassala", "Kosti"}[c.r.IntN(4)], "country": "SD"}},
		"identifier": []o{{"system": "urn:x-nilecare:mrn", "value": fmt.Sprintf("MRN-%07d", i), "type": o{"coding": []o{{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MR"}}}},
			{"system": "urn:x-nilecare:national-id", "value": fmt.Sprintf("119%08d", i)}}}
}

// load writes n patients, in sets.
func (w *ward) load(b *testing.B, n int) {
	const set = 400
	var all sync.WaitGroup
	jobs := make(chan int)
	begun := time.Now()
	for range 2 {
		all.Go(func() {
			for from := range jobs {
				c := crowd{rand.New(rand.NewPCG(7, uint64(from)))}
				var changes []record.Change
				for i := from; i < min(from+set, n); i++ {
					changes = append(changes, record.Change{Op: record.Create, Type: "Patient", Resource: resource(b, "Patient", c.patient(i))})
				}
				if _, err := w.store.Write(access.With(context.Background(), access.System(1)), changes); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	for from := 0; from < n; from += set {
		jobs <- from
		if from%(set*100) == 0 && from > 0 {
			fmt.Fprintf(os.Stderr, "%d of %d in %s\n", from, n, time.Since(begun).Round(time.Second))
		}
	}
	close(jobs)
	all.Wait()
	b.Logf("%d patients in %s", n, time.Since(begun).Round(time.Second))
}

// plans logs how the database goes about the statements of a search by name.
func (w *ward) plans(b *testing.B, engine string) {
	if os.Getenv("NILECARE_BENCH_PLANS") == "" {
		return
	}
	explain := map[string]string{"sqlite": "EXPLAIN QUERY PLAN ", "postgres": "EXPLAIN (ANALYZE, COSTS OFF, SUMMARY OFF) "}[engine]
	if engine == "postgres" { // the statistics are the server's own work, once a minute
		time.Sleep(100 * time.Second)
	}
	must(b, w.store.Ledger().View(w.as("system"), 1, func(q sqldb.Querier) error {
		for _, sql := range []string{
			"SELECT form, token FROM clinical_name WHERE tenant = 1 AND kind = 0 AND part IN ('hmd','mhmd')",
			"SELECT form, token FROM clinical_name WHERE tenant = 1 AND kind = 0 AND part >= 'mh' AND part < 'mh\x7f' ORDER BY part, form LIMIT 300",
			"SELECT count(*) FROM (SELECT 1 FROM clinical_patient_key k WHERE k.tenant = 1 AND k.key IN (SELECT token FROM clinical_name WHERE tenant = 1 AND kind = 0 AND part = 'mhmd') LIMIT 300) AS few",
			"SELECT p.num, p.names FROM (SELECT k.num FROM clinical_patient_key k WHERE k.tenant = 1 AND k.key IN (1,2,3,4,5,6,7,8) LIMIT 2000) AS f CROSS JOIN clinical_patient p WHERE p.tenant = 1 AND p.num = f.num",
			"SELECT patient FROM clinical_patient WHERE tenant = 1 AND created_at >= 1 AND created_at <= 2 AND deleted_at = 0 ORDER BY created_at DESC LIMIT 10001",
		} {
			fmt.Fprintln(os.Stderr, sql)
			err := sqldb.Each(w.as("system"), q, func(rows sqldb.Rows) error {
				var a, c, d int64
				var text string
				var err error
				if engine == "sqlite" {
					err = rows.Scan(&a, &c, &d, &text)
				} else {
					err = rows.Scan(&text)
				}
				fmt.Fprintln(os.Stderr, "    ", text)
				return err
			}, explain+sql)
			if err != nil {
				return err
			}
		}
		return nil
	}))
}

// BenchmarkSearchPatients measures whole requests over NILECARE_BENCH_PATIENTS patients (20,000 where it is not said): a page of 20 with all that is told of them.
func BenchmarkSearchPatients(b *testing.B) {
	n, _ := strconv.Atoi(os.Getenv("NILECARE_BENCH_PATIENTS"))
	if n == 0 {
		n = 20_000
	}
	for name, open := range map[string]func(testing.TB, record.Options) *record.Store{"sqlite": storetest.SQLite, "postgres": storetest.Postgres} {
		b.Run(name, func(b *testing.B) {
			w := newWard(b, open(b, record.Options{Tables: clinical.Tables()}))
			w.load(b, n)
			w.plans(b, name)
			for _, c := range []struct{ what, path string }{
				{"rare name", q("name", "Zulfigar Garang")}, {"frequent name", q("name", "Mohamed")}, {"two frequent", q("name", "Mohamed Ahmed")}, {"three frequent", q("name", "Mohamed Ahmed Ali")},
				{"frequent and rare", q("name", "Mohamed Zulfigar")}, {"Arabic", q("name", "عبد الرحمن حسن")}, {"Hussein", q("name", "Hussein Osman")},
				{"typing", q("search", "Moh")}, {"typing two", q("search", "Ahmed Abdelr")}, {"slip", q("name", "Mohamde Ibrahmi")}, {"nobody", q("name", "Nosuchname Atall")},
				{"name and birth date", q("name", "Mohamed Ahmed", "birthDate", "1980-01-01")}, {"name and city", q("name", "Mohamed Osman", "city", "Kassala")}, {"name and gender", q("name", "Ali Hassan", "gender", "female")},
				{"phone", q("phone", fmt.Sprintf("09%08d", n/2))}, {"mrn", q("mrn", fmt.Sprintf("MRN-%07d", n/3))}, {"national id", q("search", fmt.Sprintf("119%08d", n/4))},
				{"fifth page", q("name", "Mohamed Ahmed", "page", "5")}, {"all", ""},
			} {
				b.Run(c.what, func(b *testing.B) {
					var took []time.Duration
					found := 0
					for b.Loop() {
						at := time.Now()
						a := w.do("admin", "GET", patientsPath+"/search?"+c.path, nil)
						took = append(took, time.Since(at))
						if a.status != http.StatusOK {
							b.Fatalf("%d %s", a.status, a.raw)
						}
						found = a.len("data.patients")
					}
					slices.Sort(took)
					b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
					b.ReportMetric(float64(took[len(took)*95/100].Microseconds())/1000, "p95-ms")
					b.ReportMetric(float64(found), "found")
				})
			}
		})
	}
}
