package fhirrest

import (
	"strconv"
	"strings"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/web"
)

const (
	mediaFHIR  = web.ContentType
	mediaJSON  = "application/json; charset=utf-8"
	mediaPatch = "application/json-patch+json"
	mediaForm  = "application/x-www-form-urlencoded"
)

// answerMedia chooses the answer's media type from _format, which wins, or the Accept header (R4 http.html#mime-type).
// Who asks for application/json alone gets that name; else FHIR's own is used.
func answerMedia(accept []string, format string) (string, error) {
	if format != "" {
		return formatMedia(format)
	}
	if len(accept) == 0 {
		return mediaFHIR, nil
	}
	best, bestQ := "", 0.0
	for _, line := range accept {
		for item := range strings.SplitSeq(line, ",") {
			media, q := acceptItem(item)
			if media != "" && (q > bestQ || q == bestQ && media == mediaFHIR) {
				best, bestQ = media, q
			}
		}
	}
	if best == "" {
		return "", fault.New(fault.NotAcceptable, "only application/fhir+json of FHIR version 4.0 is served")
	}
	return best, nil
}

// acceptItem returns the media type that we would serve for one item of Accept, "" for none, and its quality.
func acceptItem(item string) (string, float64) {
	name, params, _ := strings.Cut(item, ";")
	media := ""
	switch strings.ToLower(strings.TrimSpace(name)) {
	case "application/fhir+json", "*/*", "application/*":
		media = mediaFHIR
	case "application/json", "text/json":
		media = mediaJSON
	default:
		return "", 0
	}
	q := 1.0
	for params != "" {
		var p string
		p, params, _ = strings.Cut(params, ";")
		k, v, _ := strings.Cut(strings.TrimSpace(p), "=")
		switch strings.ToLower(k) {
		case "q":
			f, err := strconv.ParseFloat(v, 64)
			if err != nil || f <= 0 {
				return "", 0
			}
			q = f
		case "fhirversion":
			if !ourVersion(v) {
				return "", 0
			}
		}
	}
	return media, q
}

func ourVersion(v string) bool {
	v = strings.Trim(v, `"`)
	return v == "4.0" || v == "4.0.1"
}

func formatMedia(format string) (string, error) {
	// A "+" that was not escaped arrives as a space.
	name, params, _ := strings.Cut(strings.ReplaceAll(format, " ", "+"), ";")
	switch name {
	case "json", "application/json", "text/json", "application/fhir+json":
		if k, v, has := strings.Cut(strings.Trim(params, "+"), "="); !has || !strings.EqualFold(k, "fhirVersion") || ourVersion(v) {
			return mediaFHIR, nil
		}
	}
	return "", fault.New(fault.NotAcceptable, "_format=%.40q is not served; json is", format)
}

// bodyMedia returns the media type of a body in lower case, without parameters. A charset other than UTF-8 and a FHIR
// version other than 4.0 are UnsupportedMedia; so is a body of no type.
func bodyMedia(contentType string) (string, error) {
	name, params, _ := strings.Cut(contentType, ";")
	name = strings.ToLower(strings.TrimSpace(name))
	for p := range strings.SplitSeq(params, ";") {
		k, v, _ := strings.Cut(strings.TrimSpace(p), "=")
		switch strings.ToLower(k) {
		case "charset":
			if v = strings.Trim(v, `"`); !strings.EqualFold(v, "utf-8") && !strings.EqualFold(v, "us-ascii") {
				return "", fault.New(fault.UnsupportedMedia, "charset %.20q is not supported: bodies are UTF-8", v)
			}
		case "fhirversion":
			if !ourVersion(v) {
				return "", fault.New(fault.UnsupportedMedia, "fhirVersion %.20q is not supported: 4.0 is", v)
			}
		}
	}
	if name == "" {
		return "", fault.New(fault.UnsupportedMedia, "a body needs a Content-Type: application/fhir+json")
	}
	return name, nil
}

// isJSON reports whether a resource may come under this media type.
func isJSON(media string) bool {
	return media == "application/fhir+json" || media == "application/json" || media == "text/json"
}
