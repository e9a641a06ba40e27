package fhirrest

import (
	"strconv"
	"strings"
	"time"

	"github.com/nilecare/nilecare/internal/fault"
)

// conditions are a request's headers that make it depend on what is there, as written.
type conditions struct {
	ifMatch, ifNoneMatch, ifModifiedSince, ifNoneExist string
	onlyIfNone                                         bool // ifNoneExist was sent, be it empty
}

// anyVersion is what "*" means in If-Match and If-None-Match.
const anyVersion = "*"

// etag is a version as R4 writes it: W/"3".
func etag(vid int64) string {
	var b [24]byte
	return string(append(strconv.AppendInt(append(b[:0], 'W', '/', '"'), vid, 10), '"'))
}

// tagVersion reads one ETag: W/"3", "3" or 3. ok is false for what can be no version of ours.
func tagVersion(tag string) (vid int64, ok bool) {
	tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/")
	if n := len(tag); n >= 2 && tag[0] == '"' && tag[n-1] == '"' {
		tag = tag[1 : n-1]
	}
	if tag == "" || len(tag) > 18 || tag[0] < '1' || tag[0] > '9' {
		return 0, false
	}
	vid, err := strconv.ParseInt(tag, 10, 64)
	return vid, err == nil
}

// wantedVersion reads If-Match of a change: 0 where there is none. A tag that was never ours cannot be current.
func (c *conditions) wantedVersion() (int64, error) {
	if c.ifMatch == "" {
		return 0, nil
	}
	vid, ok := tagVersion(c.ifMatch)
	if !ok {
		return 0, fault.New(fault.VersionConflict, "If-Match names no version of this server's; it is written W/\"3\"")
	}
	return vid, nil
}

// nothingThere reads If-None-Match of a change, which may only be "*".
func (c *conditions) nothingThere() (bool, error) {
	switch c.ifNoneMatch {
	case "":
		return false, nil
	case anyVersion:
		return true, nil
	}
	return false, fault.New(fault.Invalid, "If-None-Match of a change can only be *").WithCode("value")
}

// holdsTag reports whether a list of ETags holds this one, or all.
func holdsTag(list, tag string) bool {
	for t := range strings.SplitSeq(list, ",") {
		if t = strings.TrimSpace(t); t == tag || t == anyVersion {
			return true
		}
	}
	return false
}

// notModified reports whether a reader has this version already. If-None-Match wins over If-Modified-Since (RFC 9110
// 13.1.3), whose seconds are all that a Last-Modified header can tell.
func (c *conditions) notModified(vid int64, updated time.Time) bool {
	if c.ifNoneMatch != "" {
		for tag := range strings.SplitSeq(c.ifNoneMatch, ",") {
			if v, ok := tagVersion(tag); ok && v == vid || strings.TrimSpace(tag) == anyVersion {
				return true
			}
		}
		return false
	}
	if c.ifModifiedSince == "" {
		return false
	}
	since, err := parseHTTPDate(c.ifModifiedSince)
	return err == nil && !updated.Truncate(time.Second).After(since)
}
