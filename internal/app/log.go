package app

import (
	"log/slog"
)

// logger writes to the program's standard error, in the format and from the level of the settings.
func (p *Program) logger() *slog.Logger {
	levels := map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}
	o := &slog.HandlerOptions{Level: levels[p.cfg.LogLevel]}
	if p.cfg.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(p.Err, o))
	}
	return slog.New(slog.NewTextHandler(p.Err, o))
}
