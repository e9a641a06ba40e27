package scheduling_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nilecare/nilecare/internal/module/scheduling"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/storetest"
)

func engines(b *testing.B, f func(b *testing.B, w *world)) {
	for name, open := range map[string]func(testing.TB, record.Options) *record.Store{"sqlite": storetest.SQLite, "postgres": storetest.Postgres} {
		b.Run(name, func(b *testing.B) {
			h := newHand()
			f(b, newWorld(b, open(b, options(h)), h))
		})
	}
}

// BenchmarkBooking books as a receptionist, sixteen at a time, among fifty providers.
func BenchmarkBooking(b *testing.B) {
	engines(b, func(b *testing.B, w *world) {
		const providers, patients = 50, 200
		var doctors, people []string
		for i := range providers {
			doctors = append(doctors, w.provider(fmt.Sprintf("Osman%d", i)))
		}
		for i := range patients {
			people = append(people, w.patient(fmt.Sprintf("Ali%d", i)))
		}
		w.want(200, w.do("PUT", "/api/v1/schedules/settings", "admin", m{"patientOverlap": "warn", "horizonDays": 3650}))
		ctx := w.as("receptionist")
		sundayAt := time.Date(2026, 11, 29, 0, 0, 0, 0, time.UTC)
		var next, failed atomic.Int64
		b.SetParallelism(8) // of two processors
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				n := int(next.Add(1) - 1)
				slot := n / providers
				day := sundayAt.AddDate(0, 0, slot/90*7+slot/18%5) // five working days of eighteen
				at := 8*60 + slot%18*30
				_, err := w.s.Book(ctx, scheduling.Booking{PatientID: people[n%patients], ProviderID: doctors[n%providers], Date: day.Format(time.DateOnly), Time: fmt.Sprintf("%02d:%02d", at/60, at%60), Minutes: 30, Reason: "a cough"})
				if err != nil {
					failed.Add(1)
					b.Error(err)
				}
			}
		})
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "bookings/s")
	})
}

// BenchmarkMonthOfSlots asks over HTTP for the free times of a month of a provider who is half booked.
func BenchmarkMonthOfSlots(b *testing.B) {
	engines(b, func(b *testing.B, w *world) {
		doctor := w.provider("Osman")
		w.put(`{"resourceType":"PractitionerRole","active":true,"practitioner":{"reference":"Practitioner/` + doctor + `"},
			"availableTime":[{"daysOfWeek":["sun","mon","tue","wed","thu"],"availableStartTime":"08:00:00","availableEndTime":"13:00:00"},{"daysOfWeek":["sun","mon","tue","wed","thu"],"availableStartTime":"14:00:00","availableEndTime":"17:00:00"}]}`)
		w.want(201, w.do("POST", "/api/v1/schedules/holidays", "admin", m{"name": "Independence", "from": "2026-01-01", "yearly": true}))
		w.want(200, w.do("PUT", "/api/v1/schedules/settings", "admin", m{"patientOverlap": "warn"}))
		ctx, patient := w.as("receptionist"), w.patient("Ali")
		for d := range 31 {
			day := time.Date(2026, 12, 1+d, 0, 0, 0, 0, time.UTC)
			if day.Weekday() == time.Friday || day.Weekday() == time.Saturday {
				continue
			}
			for i := range 8 {
				if _, err := w.s.Book(ctx, scheduling.Booking{PatientID: patient, ProviderID: doctor, Date: day.Format(time.DateOnly), Time: fmt.Sprintf("%02d:00", 8+i+i/5), Minutes: 30}); err != nil {
					b.Fatal(err)
				}
			}
		}
		path := "/api/v1/schedules/available-slots?providerId=" + doctor + "&dateFrom=2026-12-01&dateTo=2026-12-31&duration=30"
		b.ResetTimer()
		for b.Loop() {
			if a := w.do("GET", path, "receptionist", nil); a.status != 200 || a.number("data.totalSlots") != 23*8 {
				b.Fatalf("%d %s", a.status, a.raw)
			}
		}
	})
}
