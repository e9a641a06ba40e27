package scheduling

import (
	"context"
	"fmt"
	"time"

	"github.com/nilecare/nilecare/internal/flat"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// Message is what a patient is told about an appointment.
type Message struct {
	Key             string // one message a key
	Channel         string // email, sms
	Patient         string // "Patient/1", by FHIR id
	Type            string // appointment.reminder, waitlist.offer
	Title, Body     string
	TitleAr, BodyAr string // in Arabic
	Link            string // "Appointment/12"
	Until           time.Time
}

// Messages carries messages to patients: what was prepared is put in a transaction, and goes out once that is committed.
type Messages interface {
	Prepare(ctx context.Context, tenant int32, m Message) (prepared any, err error)
	Put(ctx context.Context, tx sqldb.Tx, tenant int32, prepared any) error
}

// What dates are called.
var (
	weekdaysAr = [...]string{"الأحد", "الاثنين", "الثلاثاء", "الأربعاء", "الخميس", "الجمعة", "السبت"}
	monthsAr   = [...]string{"يناير", "فبراير", "مارس", "أبريل", "مايو", "يونيو", "يوليو", "أغسطس", "سبتمبر", "أكتوبر", "نوفمبر", "ديسمبر"}
)

// dayInWords is a day for people: "Sunday 29 November 2026", and the same in Arabic.
func dayInWords(t time.Time) (en, ar string) {
	return t.Format("Monday 2 January 2006"), fmt.Sprintf("%s %d %s %d", weekdaysAr[t.Weekday()], t.Day(), monthsAr[t.Month()-1], t.Year())
}

// told is an appointment as messages speak of it. They say neither why somebody comes nor to which kind of visit.
type told struct {
	record     *flat.Record
	patient    string // reference
	provider   string // name
	at         time.Time
	day, dayAr string
}

// tell reads what messages say of an appointment; nil where it has no patient or no time.
func (s *Service) telling(ctx context.Context, r *flat.Record) (*told, error) {
	a, w := readAppointment(r.Res), s.who(r.Res)
	if !a.timed || w.patient == "" {
		return nil, nil
	}
	zone, err := s.zoneOf(ctx, w.provider)
	if err != nil {
		return nil, err
	}
	t := &told{record: r, patient: w.patient, at: time.UnixMicro(a.at.From).In(zone)}
	t.day, t.dayAr = dayInWords(t.at)
	practitioners, err := s.practitioners(ctx, []string{w.provider})
	if err != nil {
		return nil, err
	}
	people, err := s.Records.Get(ctx, practitioners[w.provider])
	if err != nil {
		return nil, err
	}
	if p := people[practitioners[w.provider]]; p != nil {
		t.provider = flat.FullName(p.Res)
	}
	return t, nil
}

// with is "with Dr. Amal Osman", "" where nobody is named.
func (t *told) with() (en, ar string) {
	if t.provider == "" {
		return "", ""
	}
	return " with " + t.provider, " مع " + t.provider
}

// zoneOf is the zone of a provider's calendar.
func (s *Service) zoneOf(ctx context.Context, ref string) (*time.Location, error) {
	typ, num, err := s.meant(ctx, ref)
	if err != nil {
		return nil, err
	}
	if num == 0 {
		return s.zone(ctx)
	}
	c, err := s.calendarOf(ctx, actor{typ, num}, 0, 1)
	if err != nil {
		return nil, err
	}
	return c.zone, nil
}
