package web

import (
	"net/http"

	"github.com/nilecare/nilecare/internal/fault"
)

// statuses is the one table from kind of failure to HTTP status.
var statuses = [...]int{
	fault.Internal:           http.StatusInternalServerError,
	fault.Invalid:            http.StatusBadRequest,
	fault.Unprocessable:      http.StatusUnprocessableEntity,
	fault.Unauthenticated:    http.StatusUnauthorized,
	fault.Forbidden:          http.StatusForbidden,
	fault.NotFound:           http.StatusNotFound,
	fault.Gone:               http.StatusGone,
	fault.MethodNotAllowed:   http.StatusMethodNotAllowed,
	fault.NotAcceptable:      http.StatusNotAcceptable,
	fault.Conflict:           http.StatusConflict,
	fault.VersionConflict:    http.StatusPreconditionFailed,
	fault.PreconditionFailed: http.StatusPreconditionFailed,
	fault.TooLarge:           http.StatusRequestEntityTooLarge,
	fault.UnsupportedMedia:   http.StatusUnsupportedMediaType,
	fault.TooCostly:          http.StatusBadRequest,
	fault.TooMany:            http.StatusTooManyRequests,
	fault.Unavailable:        http.StatusServiceUnavailable,
}

// StatusOf returns the HTTP status of a kind of failure.
func StatusOf(k fault.Kind) int {
	if int(k) < len(statuses) {
		return statuses[k]
	}
	return http.StatusInternalServerError
}

// KindOf reads the table backwards: the kind of failure that a peer meant by this status and the first issue's
// issue-type code, which tells apart the kinds that share a status. A success (below 400) has no kind; it, and every
// status that the table does not hold, counts by its class: 4xx Invalid, the rest Internal.
func KindOf(status int, code string) fault.Kind {
	switch {
	case status == http.StatusBadRequest && code == "too-costly":
		return fault.TooCostly
	case status == http.StatusPreconditionFailed && code == "conflict":
		return fault.VersionConflict
	case status == http.StatusPreconditionFailed:
		return fault.PreconditionFailed
	case status == http.StatusBadGateway, status == http.StatusGatewayTimeout:
		return fault.Unavailable
	}
	for k, s := range statuses {
		if s == status {
			return fault.Kind(k)
		}
	}
	if status >= 400 && status < 500 {
		return fault.Invalid
	}
	return fault.Internal
}
