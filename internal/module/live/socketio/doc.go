// Package socketio serves clients of Socket.IO: its protocol in version 5 on Engine.IO's version 4 (https://github.com/socketio/socket.io-protocol,
// https://github.com/socketio/engine.io-protocol), over long polling and WebSocket, with the upgrade from the one to the other.
//
// It speaks text alone, in the one namespace "/", which is what the product's clients use: an attempt to use binary events ends the connection, and
// other namespaces are refused. It knows nothing of rooms: who sends decides to whom.
//
// What is sent to a client waits in a queue of its own, in order, and nowhere else; a client that does not take it loses its connection, so that a slow one costs no
// more than the bound of its queue. A connection at rest is one goroutine with WebSocket, and none between two polls.
package socketio
