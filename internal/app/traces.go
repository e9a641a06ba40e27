package app

import (
	"context"
	"fmt"
	"log/slog"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// traces returns where spans go, and what sends the last ones at the end. Without an endpoint there are none.
func (p *Program) traces(ctx context.Context, log *slog.Logger) (traceProvider, func(context.Context) error, error) {
	if p.cfg.OTelEndpoint == "" {
		return nil, func(context.Context) error { return nil }, nil
	}
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(p.cfg.OTelEndpoint+"/v1/traces"))
	if err != nil {
		return nil, nil, fmt.Errorf("otel-endpoint: %w", err)
	}
	// A collector that is away must not fill the log of a server that works.
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Debug("traces are not sent", "error", err.Error()) }))
	about := resource.NewSchemaless(attribute.String("service.name", "nilecare"), attribute.String("service.version", p.Version))
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(about))
	return provider, provider.Shutdown, nil
}
