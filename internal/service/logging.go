package service

import (
	"io"
	"log/slog"

	"github.com/osiris/osiris/internal/config"
)

// NewLogger writes to w as cfg says. The level follows a reload.
func NewLogger(w io.Writer, cfg config.Log) (*slog.Logger, *slog.LevelVar) {
	level := new(slog.LevelVar)
	setLevel(level, cfg.Level)
	opts := &slog.HandlerOptions{Level: level}
	if cfg.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, opts)), level
	}
	return slog.New(slog.NewTextHandler(w, opts)), level
}

func setLevel(v *slog.LevelVar, text string) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(text)); err == nil { // config verified it
		v.Set(level)
	}
}
