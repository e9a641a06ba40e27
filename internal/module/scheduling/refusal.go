package scheduling

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/interval"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// How much a refusal offers.
const (
	offeredOfDay = 24 // times of the day that was wanted
	offeredLater = 5  // times of later days, where there are none
	lookAhead    = 14 // days
)

// taken is the refusal of a claim: why, and which times are free instead. It names no patient, and of the calendar what everybody is told who may ask for free times.
func (b books) taken(ctx context.Context, q sqldb.Querier, tenant int32, a *appointment, c *claim, why string) error {
	free, zone, err := b.instead(ctx, q, tenant, c.actor, visit{length: c.ends - c.starts, kinds: a.kinds}, c.starts)
	if err != nil {
		return err
	}
	return refusal(why, free, zone)
}

// refusal is a Conflict with the times that are free instead: in the first issue's text for people, and as instants in a second issue.
func refusal(why string, free []int64, zone *time.Location) error {
	e := fault.New(fault.Conflict, "%s; %s", why, freeText(free, zone)).WithCode(conflictCode)
	stamps := make([]string, len(free))
	for i, at := range free {
		stamps[i] = time.UnixMicro(at).In(zone).Format(time.RFC3339)
	}
	if len(stamps) > 0 {
		e.Issues = append(e.Issues, fault.Issue{Severity: "information", Code: "informational", Diagnostics: "free: " + strings.Join(stamps, ", ")})
	}
	return e
}

// freeText tells times for people: "free on 2026-11-29: 08:00, 08:30".
func freeText(free []int64, zone *time.Location) string {
	if len(free) == 0 {
		return fmt.Sprintf("nothing is free within %d days", lookAhead)
	}
	var out strings.Builder
	last := ""
	for _, at := range free {
		t := time.UnixMicro(at).In(zone)
		sep := ", "
		if day := t.Format(time.DateOnly); day != last {
			sep = "; "
			if last == "" {
				sep = ""
			}
			sep += "free on " + day + ": "
			last = day
		}
		out.WriteString(sep + t.Format("15:04"))
	}
	return out.String()
}

// instead are the times at which a visit may begin on the day that was wanted, or else the next ones.
func (b books) instead(ctx context.Context, q sqldb.Querier, tenant int32, x actor, v visit, wanted int64) ([]int64, *time.Location, error) {
	week := 24 * time.Hour.Microseconds() * lookAhead
	cal, err := b.calendar(ctx, q, tenant, x, wanted-2*24*time.Hour.Microseconds(), wanted+week)
	if err != nil {
		return nil, nil, err
	}
	day := interval.Day(cal.day(wanted), cal.zone)
	var same, later []int64
	for _, at := range cal.starts(v, b.now()) {
		switch {
		case day.Has(at):
			same = append(same, at)
		case len(day) > 0 && at >= day[len(day)-1].To:
			later = append(later, at)
		}
	}
	if len(same) > 0 {
		return same[:min(len(same), offeredOfDay)], cal.zone, nil
	}
	return later[:min(len(later), offeredLater)], cal.zone, nil
}
