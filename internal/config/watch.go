package config

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"time"
)

// stamp is what changes when a file does. A swapped symbolic link (as Kubernetes
// does with a ConfigMap) shows as another file.
type stamp struct {
	info os.FileInfo // nil while there is none
}

func stampOf(file string) stamp {
	info, err := os.Stat(file)
	if err != nil {
		return stamp{}
	}
	return stamp{info}
}

func (s stamp) equal(t stamp) bool {
	if s.info == nil || t.info == nil {
		return s.info == nil && t.info == nil
	}
	return os.SameFile(s.info, t.info) && s.info.Size() == t.info.Size() && s.info.ModTime().Equal(t.info.ModTime())
}

// Watcher applies a configuration file again when it changes.
type Watcher struct {
	Options Options
	Current *Config             // what runs
	Apply   func(*Config) error // takes a good configuration over, or says why not
	Hangup  <-chan os.Signal    // each value means: read it now; may be nil
	Every   time.Duration       // between two looks; 1 s if zero
	Looked  func(applied bool)  // called after each reading; may be nil
	Logger  *slog.Logger
}

// Run watches until ctx ends. A file is read once two looks in a row agree on it,
// so that one that is being written is left alone; a faulty one is refused with
// one log line for each fault, and what ran goes on.
func (w *Watcher) Run(ctx context.Context) {
	every := w.Every
	if every == 0 {
		every = time.Second
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	file := w.Current.File
	read, last := w.Current.seen, w.Current.seen
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.Hangup:
			read = stampOf(file)
			last = read
			w.reload()
		case <-ticker.C:
			if file == "" {
				continue
			}
			now := stampOf(file)
			settled := now.equal(last)
			last = now
			if settled && !now.equal(read) {
				read = now
				w.reload()
			}
		}
	}
}

func (w *Watcher) reload() {
	applied := w.tryReload()
	if w.Looked != nil {
		w.Looked(applied)
	}
}

func (w *Watcher) tryReload() bool {
	next, err := Load(w.Options)
	if err != nil {
		w.Logger.Error("configuration refused, the one before stays", "file", w.Current.File)
		if faults, ok := errors.AsType[Faults](err); ok {
			for _, f := range faults {
				w.Logger.Error("configuration fault", "fault", f.Error())
			}
		}
		return false
	}
	if err := w.Apply(next); err != nil {
		w.Logger.Error("configuration refused, the one before stays", "file", w.Current.File, "error", err)
		return false
	}
	w.Logger.Info("configuration applied", "file", next.File)
	if waiting := w.Current.NeedRestart(next); len(waiting) > 0 {
		w.Logger.Warn("these settings changed and wait for a restart", "settings", waiting)
	}
	for _, warning := range next.Warnings {
		w.Logger.Warn(warning)
	}
	w.Current = next
	return true
}
