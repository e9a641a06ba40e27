// Package recur is recurrence as iCalendar has it (RFC 5545, section 3.8.5): RRULE with all its parts, RDATE and EXDATE, in a time zone. It is pure: no clock,
// no database.
//
// A rule is worked out on the wall clock of its zone, and only then turned into instants: what is at 09:00 stays at 09:00 when the clocks change. A local
// time that the clocks skip is taken by the offset from before the gap; one that comes twice is the first of the two (section 3.3.5). Rules below a day
// (HOURLY, MINUTELY, SECONDLY) count wall-clock steps, so that the hour that comes twice has them once.
//
// Decisions where the RFC leaves a choice, all as widely used libraries have them: a DTSTART that its own rule does not give is no occurrence; numbered
// weekdays of a YEARLY rule count within the month where BYMONTH stands and within the year else; weeks are those of ISO 8601 moved to WKST.
package recur
