package web

import (
	"errors"

	"github.com/nilecare/nilecare/internal/fault"
)

// causes joins an error's text with those of the causes that a fault keeps from its own text.
func causes(err error) string {
	text := err.Error()
	for e := err; e != nil; e = errors.Unwrap(e) {
		if f, ok := e.(*fault.Error); ok && f.Err != nil {
			if text != "" {
				text += ": "
			}
			text += f.Err.Error()
		}
	}
	return text
}
