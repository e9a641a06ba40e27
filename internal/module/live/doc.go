// Package live tells browsers what happens while it happens: by Socket.IO at /socket.io/, and by Server-Sent Events.
//
// # Rooms
//
// Everybody who is connected is in the room of their user, of each of their roles, and of who they are in the record. Other rooms are joined by asking: a patient's by
// whom reading that Patient succeeds, at the time of joining and again every few minutes; a facility's and the clinical team's by their permissions. What an event
// tells goes to the room of its patient and to the staff that it concerns whole, and to the roles whose work it is by ids, states and times
// alone. Nobody gets an event twice who is in several of its rooms, and everybody gets them in the order in which they were committed.
//
// # Credentials
//
// Who connects shows a token. It is looked at again every quarter of a minute, without that being a use of the session: where it has expired, was revoked, or its user
// may no longer come in, the connection ends. Roles that were given or taken count from then on.
//
// # Several processes
//
// Each process follows the hub by itself and tells its own clients. A client that polls must come to the same process with each request; one that uses WebSocket or
// Server-Sent Events need not.
//
// Events out: vital_signs.recorded, clinical.alert ([Source]). Events in: all of the hub's.
package live
