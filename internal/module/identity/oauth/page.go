package oauth

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"html/template"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/text/language"
)

//go:embed page
var pageFiles embed.FS

//go:embed page/style.css
var styleSheet string

// pages parses the templates of a language. They are few and small: each server does it once.
func parsePages(lang string) *template.Template {
	t := template.New("").Funcs(template.FuncMap{
		"t":     func(key string) string { return textOf(lang, key) },
		"words": func(sc scope) string { return describe(lang, sc) },
		"css":   func() template.CSS { return template.CSS(styleSheet) }, //nolint:gosec // our own file
	})
	return template.Must(t.ParseFS(pageFiles, "page/*.html"))
}

// pageData is what the pages show.
type pageData struct {
	Lang, Dir string
	Base      string // the path before /oauth2
	Request   string
	CSRF      string
	App       string
	AppURI    string
	TosURI    string
	PolicyURI string
	Problem   string
	Detail    string
	Hint      string
	Providers []Provider
	Query     PatientQuery
	Searched  bool
	Patients  []Patient
	Chosen    *Patient
	User      string
	Who       string
	Scopes    []scope
	Fixed     []scope
	UserCode  string
	Device    bool
	Redirect  string
	Fields    []field // hidden
}

type field struct{ Name, Value string }

// languages are those that the pages speak; the first is taken where nobody says.
var languages = language.NewMatcher([]language.Tag{language.English, language.Arabic})

// languageOf chooses by ui_locales (OpenID Connect Core section 3.1.2.1), else Accept-Language.
func languageOf(r *http.Request, locales string) string {
	var want []language.Tag
	for tag := range strings.FieldsSeq(locales) {
		if t, err := language.Parse(tag); err == nil {
			want = append(want, t)
		}
	}
	if more, _, err := language.ParseAcceptLanguage(r.Header.Get("Accept-Language")); err == nil {
		want = append(want, more...)
	}
	if _, i, _ := languages.Match(want...); i == 1 {
		return "ar"
	}
	return "en"
}

// path is a path of this server as a browser sees it: with the base URL's own path, and the tenant's prefix.
func (s *Server) path(tenant int32, p string) string {
	u, err := url.Parse(s.Issuer(tenant))
	if err != nil {
		return p
	}
	return u.Path + p
}

func (s *Server) blank(r *http.Request, locales string) *pageData {
	d := &pageData{Lang: languageOf(r, locales), Dir: "ltr", Base: s.path(tenantOf(r.Context()), "")}
	if d.Lang == "ar" {
		d.Dir = "rtl"
	}
	return d
}

func (s *Server) data(r *http.Request, req *request) *pageData {
	d := s.blank(r, req.Locales)
	m := &req.client.Meta
	d.Request, d.CSRF = req.handle, s.csrf(r, tenantOf(r.Context()))
	d.App, d.AppURI, d.TosURI, d.PolicyURI = m.Name, m.ClientURI, m.TosURI, m.PolicyURI
	d.Redirect, d.Device, d.UserCode = req.Redirect, req.Device != nil, req.UserCode
	return d
}

// show writes a page. It runs no script, loads nothing, stands in no frame, and is kept by nobody.
func (s *Server) show(w http.ResponseWriter, r *http.Request, status int, name string, d *pageData) error {
	var b bytes.Buffer
	if err := s.pages[d.Lang].ExecuteTemplate(&b, name+".html", d); err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(styleSheet))
	action := "'self'"
	if d.Redirect != "" { // browsers hold a form's redirects to this too
		action += " " + formTarget(d.Redirect)
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Language", d.Lang)
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+
		"'; form-action "+action+"; frame-ancestors 'none'; base-uri 'none'")
	h.Set("X-Frame-Options", "DENY")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin-allow-popups")
	h.Set("Cache-Control", "no-store")
	h.Add("Vary", "Accept-Language, Cookie")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // the browser went away: nobody is left to tell
	return nil
}

// paged makes a handler of one whose errors are told on a page.
func (s *Server) paged(f func(w http.ResponseWriter, r *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := f(w, r); err != nil {
			s.showFailure(w, r, err)
		}
	})
}

func (s *Server) showFailure(w http.ResponseWriter, r *http.Request, err error) {
	f := failureOf(err)
	if f.status >= http.StatusInternalServerError && f.cause != nil {
		s.o.Log.ErrorContext(r.Context(), "oauth", "path", r.URL.Path, "error", f.cause)
	}
	d := s.blank(r, r.URL.Query().Get("ui_locales"))
	d.Problem, d.Detail = "failed", f.text
	if f == errStale { //nolint:errorlint // the very one
		d.Problem, d.Detail = "stale", ""
	}
	if err := s.show(w, r, f.status, "message", d); err != nil {
		http.Error(w, "error", http.StatusInternalServerError)
	}
}

func (s *Server) showConsent(w http.ResponseWriter, r *http.Request, req *request, l *login, user User) error {
	d := s.data(r, req)
	d.User, d.Who = user.Name, who(user.ID)
	for _, sc := range wordsOf(req.Scope) {
		if fixedScope(sc) {
			d.Fixed = append(d.Fixed, sc)
		} else {
			d.Scopes = append(d.Scopes, sc)
		}
	}
	if req.Launch.Patient != "" {
		ctx, err := s.o.Users.As(r.Context(), tenantOf(r.Context()), user.ID, l.mfa())
		if err != nil {
			return err
		}
		p, err := s.o.Patients.Patient(ctx, req.Launch.Patient)
		if err != nil {
			return s.refuse(w, r, req, bad("access_denied", "the patient is not for this person"))
		}
		d.Chosen = &p
	}
	return s.show(w, r, http.StatusOK, "consent", d)
}
