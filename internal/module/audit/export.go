package audit

import (
	"bufio"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	ledger "github.com/nilecare/nilecare/internal/audit"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// form is how an export is written.
type form struct {
	media, name string
	head        func(io.Writer) error
	entry       func(io.Writer, *logJSON, bool) error // true: the first
	foot        string
}

var forms = map[string]form{
	"json": {"application/json; charset=utf-8", "audit.json", func(w io.Writer) error { _, err := io.WriteString(w, "["); return err }, func(w io.Writer, l *logJSON, first bool) error {
		sep := ",\n"
		if first {
			sep = "\n"
		}
		return jsonLine(w, l, sep, "")
	}, "\n]\n"},
	"ndjson": {"application/x-ndjson", "audit.ndjson", nil, func(w io.Writer, l *logJSON, _ bool) error { return jsonLine(w, l, "", "\n") }, ""},
	"csv": {"text/csv; charset=utf-8", "audit.csv", func(w io.Writer) error { return csvLine(w, csvHead) }, func(w io.Writer, l *logJSON, _ bool) error {
		return csvLine(w, []string{l.ID, l.Timestamp, l.Kind, l.Action, l.Outcome, l.UserID, l.UserName, l.ClientID, l.SessionID, l.Purpose, l.IPAddress, l.RequestID,
			l.ResourceType, l.ResourceID, strconv.FormatInt(l.Version, 10), strings.Join(l.PatientIDs, " "), l.Query, l.Details, l.Severity, strconv.Itoa(l.Count), strconv.FormatBool(l.Intact)})
	}, ""},
	"cef": {"text/plain; charset=utf-8", "audit.cef", nil, func(w io.Writer, l *logJSON, _ bool) error { _, err := io.WriteString(w, cefLine(l)); return err }, ""},
}

var csvHead = []string{"id", "timestamp", "kind", "action", "outcome", "user_id", "user_name", "client_id", "session_id", "purpose", "ip_address", "request_id",
	"resource_type", "resource_id", "version", "patient_ids", "query", "details", "severity", "count", "intact"}

func jsonLine(w io.Writer, l *logJSON, before, after string) error {
	text, err := json.Marshal(l)
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, before+string(text)+after)
	return err
}

// csvLine writes a line (RFC 4180). A cell that a spreadsheet would take for a formula gets an apostrophe before it.
func csvLine(w io.Writer, cells []string) error {
	for i, c := range cells {
		if c != "" && strings.ContainsRune("=+-@\t\r", rune(c[0])) {
			cells[i] = "'" + c
		}
	}
	out := csv.NewWriter(w)
	if err := out.Write(cells); err != nil {
		return err
	}
	out.Flush()
	return out.Error()
}

// cefSeverity is a severity in CEF's scale of 0 to 10.
func cefSeverity(l *logJSON) int {
	switch l.Severity {
	case "critical":
		return 10
	case "high":
		return 8
	case "medium":
		return 5
	case "low":
		return 3
	}
	if l.Outcome != "success" {
		return 4
	}
	return 1
}

// cefLine is an entry in ArcSight's Common Event Format, version 0.
func cefLine(l *logJSON) string {
	head := strings.NewReplacer(`\`, `\\`, "|", `\|`, "\n", " ", "\r", " ")
	value := strings.NewReplacer(`\`, `\\`, "=", `\=`, "\n", `\n`, "\r", `\r`)
	var b strings.Builder
	fmt.Fprintf(&b, "CEF:0|nilecare|nilecare|1|%s|%s %s|%d|", head.Replace(l.Kind+"."+l.Action), head.Replace(l.Kind), head.Replace(l.Action), cefSeverity(l))
	at, _ := time.Parse(timeForm, l.Timestamp)
	fmt.Fprintf(&b, "rt=%d externalId=%s", at.UnixMilli(), l.ID)
	for _, kv := range [][2]string{{"outcome", l.Outcome}, {"act", l.Action}, {"suid", l.UserID}, {"suser", l.UserName}, {"src", l.IPAddress}, {"sproc", l.ClientID},
		{"reason", l.Purpose}, {"request", l.Query}, {"msg", l.Details}} {
		if kv[1] != "" {
			b.WriteString(" " + kv[0] + "=" + value.Replace(kv[1]))
		}
	}
	for i, kv := range [][2]string{{"requestId", l.RequestID}, {"resource", strings.Trim(l.ResourceType+"/"+l.ResourceID, "/")}, {"patients", strings.Join(l.PatientIDs, " ")}, {"sessionId", l.SessionID}} {
		if kv[1] != "" {
			fmt.Fprintf(&b, " cs%dLabel=%s cs%d=%s", i+1, kv[0], i+1, value.Replace(kv[1]))
		}
	}
	fmt.Fprintf(&b, " cn1Label=count cn1=%d\n", l.Count)
	return b.String()
}

// serveExport writes the entries that the filters want as a file, the oldest first. The export is audited before its first byte.
func (s *Service) serveExport(w http.ResponseWriter, r *http.Request) error {
	f, err := s.filter(r)
	if err != nil {
		return err
	}
	name := r.URL.Query().Get("format")
	if name == "" {
		name = "json"
	}
	form, ok := forms[name]
	if !ok {
		return invalid("format", "must be json, ndjson, csv or cef")
	}
	ctx := r.Context()
	if f.To.IsZero() { // what comes while it is written, its own entry among it, is not part of it
		f.To = s.clock()
	}
	e := ledger.Entry{Kind: ledger.Export, Action: "export", Type: "AuditEvent", Query: r.URL.RawQuery}
	if f.Patient != 0 {
		e.Patients = []int64{f.Patient}
	}
	s.note(ctx, e)
	w.Header().Set("Content-Type", form.media)
	w.Header().Set("Content-Disposition", `attachment; filename="`+form.name+`"`)
	w.Header().Set("Cache-Control", "no-store")
	out := bufio.NewWriterSize(w, 1<<16)
	if form.head != nil {
		err = form.head(out)
	}
	if err == nil {
		err = s.writeAll(ctx, f, form, out)
	}
	if err == nil {
		_, err = out.WriteString(form.foot)
	}
	if err == nil {
		err = out.Flush()
	}
	if err != nil { // the connection is cut, so that nobody takes half a file for a whole one
		slog.ErrorContext(ctx, "audit: an export broke off", "error", err)
		panic(http.ErrAbortHandler)
	}
	return nil
}

func (s *Service) writeAll(ctx context.Context, f ledger.Filter, form form, out io.Writer) error {
	tenant := access.From(ctx).Tenant
	f.Oldest, f.Limit, f.Offset, f.Before = true, 1000, 0, 0
	first := true
	for {
		rows, err := s.find(ctx, tenant, f, nil)
		if err != nil {
			return err
		}
		logs, err := s.jsonOfAll(ctx, s.open(ctx, tenant, rows))
		if err != nil {
			return err
		}
		for i := range logs {
			if err := form.entry(out, &logs[i], first); err != nil {
				return err
			}
			first = false
		}
		if len(rows) < f.Limit {
			return nil
		}
		f.After = rows[len(rows)-1].ID
	}
}

// summary counts what is in the ledger between two times.
func (s *Service) summary(ctx context.Context, from, to time.Time) (summary, error) {
	tenant := access.From(ctx).Tenant
	out := summary{From: from.UTC().Format(timeForm), To: to.UTC().Format(timeForm), ByKind: map[string]int64{}, ByAction: map[string]int64{}, ByOutcome: map[string]int64{}, BySeverity: map[string]int64{}}
	var tallies []ledger.Tally
	if err := s.ledger.Read(ctx, tenant, func(q sqldb.Querier) (err error) {
		tallies, err = ledger.Tallies(ctx, q, tenant, ledger.Filter{From: from, To: to})
		return err
	}); err != nil {
		return out, err
	}
	for _, t := range tallies {
		out.Total += t.Count
		if t.Outcome != ledger.Success {
			out.Failures += t.Count
		}
		out.ByKind[kindNames[t.Kind]] += t.Count
		out.ByAction[t.Action] += t.Count
		out.ByOutcome[outcomeNames[t.Outcome]] += t.Count
	}
	rows, err := s.find(ctx, tenant, ledger.Filter{Kinds: []ledger.Kind{ledger.Security}, From: from, To: to, Limit: 10_000}, nil)
	if err != nil {
		return out, err
	}
	for _, l := range s.open(ctx, tenant, rows) {
		out.BySeverity[l.Severity]++
	}
	return out, nil
}
