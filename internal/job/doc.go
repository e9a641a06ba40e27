// Package job does things later: a job is a row, written in the transaction of the fact that asks for it, and done once its time has come, by one process
// at a time, also if the program was down when it came.
//
// A job is known by its kind and key: putting it again moves it, dropping it takes it back, and neither does anything to one that is done. Putting what
// stands there already, with the same time and data, does nothing at all: neither a failed job nor the pause before the next attempt is touched.
//
// # Exactly once, and at least once
//
// What a handler writes in the transaction that it is given is done exactly once, for the job is marked as done by the same commit. What it does
// outside (a message to another server) can come twice: after a crash in between, after a lease that ran out, and where the job was moved or taken back
// while it was being done, which undoes what was written in the transaction.
//
// # Who does it
//
// Each process has a [Runner], which does the kinds that it was given handlers for; jobs of other kinds wait, at no cost. A runner takes a job by a
// conditional update that names the attempt and ends by itself: the lease. Of several runners one gets it; if its process dies, another begins anew once the
// lease has run out. Of a process each kind has a number of jobs done at a time ([Handler].Parallel), so that slow ones delay none of another kind.
//
// A runner sleeps until the next job is due, and looks at least once a second (in an installation of more than 50 tenants 20 ms times their number),
// since jobs are put by other processes too. [Runner.Wake] has it look at once.
//
// # Failures
//
// A handler that fails is asked again after a pause that doubles, a quarter longer or shorter by chance ([Retry]). At last the job stands as failed, to be looked at and tried
// again ([Runner.List], [Runner.Again]). An attempt that never ended, since its process died, counts as one. Jobs that are done are kept for 30 days, so
// that putting one again does nothing, and failed ones for 90.
package job
