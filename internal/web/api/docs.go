package api

import (
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"net/http"
	"strings"

	"github.com/nilecare/nilecare/internal/fault"
)

//go:embed page
var page embed.FS

// pagePolicy lets the page of the description do what it needs, and nothing else: nothing from elsewhere, nothing inline.
const pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// Documents returns the routes that describe the table, their own lines included: /openapi.json, the same at /api/v1/openapi.json, and a page for people at
// /docs, which needs nothing from elsewhere.
func Documents(info Info, routes []Route) ([]Route, error) {
	own := []Route{
		{Method: http.MethodGet, Path: "/openapi.json", Need: Public(), Tag: "description", Summary: "This description, in OpenAPI 3.1", Bare: true},
		{Method: http.MethodGet, Path: "/api/v1/openapi.json", Need: Public(), Tag: "description", Summary: "The same description", Bare: true},
		{Method: http.MethodGet, Path: "/docs", Need: Public(), Tag: "description", Summary: "This description as a page to read and to try out", Bare: true},
		{Method: http.MethodGet, Path: "/docs/{file}", Need: Public(), Tag: "description", Summary: "A part of that page", Bare: true},
	}
	text, err := OpenAPI(info, append(routes[:len(routes):len(routes)], own...))
	if err != nil {
		return nil, err
	}
	description := file(text, "application/json; charset=utf-8")
	own[0].Serve, own[1].Serve = description, description
	html, err := page.ReadFile("page/docs.html")
	if err != nil {
		return nil, err
	}
	own[2].Serve = file(html, "text/html; charset=utf-8")
	parts := map[string]func(http.ResponseWriter, *http.Request) error{}
	for name, kind := range map[string]string{"docs.js": "text/javascript; charset=utf-8", "docs.css": "text/css; charset=utf-8"} {
		part, err := page.ReadFile("page/" + name)
		if err != nil {
			return nil, err
		}
		parts[name] = file(part, kind)
	}
	own[3].Serve = func(w http.ResponseWriter, r *http.Request) error {
		serve := parts[r.PathValue("file")]
		if serve == nil {
			return fault.New(fault.NotFound, "nothing stands at this path")
		}
		return serve(w, r)
	}
	return own, nil
}

// file serves bytes that change with the program alone.
func file(text []byte, kind string) func(http.ResponseWriter, *http.Request) error {
	sum := sha256.Sum256(text)
	tag := []string{`"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`}
	media := []string{kind}
	return func(w http.ResponseWriter, r *http.Request) error {
		h := w.Header()
		h["Content-Type"], h["Etag"] = media, tag
		h["Cache-Control"] = []string{"public, max-age=300"}
		h["Content-Security-Policy"] = []string{pagePolicy}
		for _, v := range r.Header["If-None-Match"] {
			if v == "*" || strings.Contains(v, tag[0]) {
				w.WriteHeader(http.StatusNotModified)
				return nil
			}
		}
		w.WriteHeader(http.StatusOK)
		// A client that has gone away cannot be told so.
		_, _ = w.Write(text)
		return nil
	}
}
