// Package event tells what happened: the facts that the changes of records mean, in the words of the product's contract, to readers that miss none.
//
// A fact is not stored beside the change that it follows from. The record keeps one row a change, in its transaction (record.Store.Changes); a module's
// [Source] says, from the resource before and after, which facts that is: an Appointment that comes to be cancelled is appointment.cancelled. So
// no writer can forget to tell, every door tells alike, facts can be read again from any point, and a patient who was erased is
// erased from them too.
//
// # Readers
//
// A durable reader ([Hub.Read]) is a name and a place. One process at a time reads for it, tenant by tenant, in the order of changes; the place moves
// on after the handler has returned. A handler is called at least once for each fact, so it must not mind being called again. What it fails on is tried again
// with growing pauses, and then stands in the dead letters, where an operator can look at it, have it handled again, or discard it; the reader goes on.
// A tail ([Hub.Tail]) is this process's own: it begins now and keeps no place.
//
// # Shape
//
// An event leaves the program as a CloudEvent (version 1.0, JSON), with the schema of its kind and version. Schemas stand in schema/, one file
// a kind and version; a test refuses a change to one that would break those who read it.
package event
