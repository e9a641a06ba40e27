package web_test

import (
	"net/http"
	"strings"
	"testing"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/nilecare/nilecare/internal/web"
)

func TestSpans(t *testing.T) {
	exported := tracetest.NewInMemoryExporter()
	provider := sdk.NewTracerProvider(sdk.WithSyncer(exported))
	var within trace.SpanContext
	s := edge(t, web.Options{Traces: provider}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		within = trace.SpanContextFromContext(r.Context())
		web.SetRoute(w, "/things/{id}")
		w.WriteHeader(http.StatusTeapot)
	}))
	const parent = "4bf92f3577b34da6a3ce929d0e0e4736"
	do(t, s, "GET", "/things/4711?name=4711", nil, "Traceparent", "00-"+parent+"-00f067aa0ba902b7-01", "X-Request-Id", "the-id")
	spans := exported.GetSpans()
	if len(spans) != 1 {
		t.Fatalf("%d spans", len(spans))
	}
	span := spans[0]
	if span.Name != "GET /things/{id}" || span.SpanContext.TraceID().String() != parent || within.SpanID() != span.SpanContext.SpanID() {
		t.Errorf("span %q of trace %s", span.Name, span.SpanContext.TraceID())
	}
	got := map[string]string{}
	for _, a := range span.Attributes {
		got[string(a.Key)] = a.Value.String()
		if strings.Contains(a.Value.String(), "4711") {
			t.Errorf("the span tells an id: %s", a.Value.String())
		}
	}
	for k, v := range map[string]string{"http.route": "/things/{id}", "http.request.method": "GET", "http.response.status_code": "418", "nilecare.request_id": "the-id"} {
		if got[k] != v {
			t.Errorf("%s is %q", k, got[k])
		}
	}
}
