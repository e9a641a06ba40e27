// Package job does things later: a job is a row, written in the transaction of the fact that asks for it, and done once its time has come, by one process
// at a time, also if the program was down when it came.
//
// A job is known by its kind and key: putting it again moves it, dropping it takes it back, and neither does anything to one that is done. What a handler
// writes in the transaction that it is given is done exactly once, for the job is marked as done by the same commit. What it does outside (a
// message to another server) can come twice, after a crash in between. A handler that fails is asked again with growing pauses, and at last the job stands as failed,
// to be looked at and tried again.
package job
