// Package interval is arithmetic on spans of time: what is open, what is taken, what is left, and where something of a given length still fits. It is pure:
// no clock, no database.
//
// Instants are microseconds since 1970; a [Span] holds its beginning and not its end, so that neighbours do not overlap. A [Set] is spans in order that
// neither overlap nor touch. Local hours become instants by [Wall]: an instant is within hours from 08:00 to 17:00 when, and only when, a clock on the wall
// of the zone shows 08:00 or later and not yet 17:00. So hours that the clocks skip are not there, and those that come twice are there twice.
package interval
