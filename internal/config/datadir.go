package config

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
)

// DefaultDataDir is where osiris up keeps its data for this user: XDG_DATA_HOME or
// what the system uses instead, and osiris below it.
func DefaultDataDir(environ []string) (string, error) {
	env := environMap(environ)
	if dir := env["XDG_DATA_HOME"]; filepath.IsAbs(dir) {
		return filepath.Join(dir, "osiris"), nil
	}
	if runtime.GOOS == "windows" && env["LOCALAPPDATA"] != "" {
		return filepath.Join(env["LOCALAPPDATA"], "osiris"), nil
	}
	home := env["HOME"]
	if home == "" {
		home, _ = os.UserHomeDir()
	}
	switch {
	case home == "":
		return "", errors.New("no home folder to keep data in: name one with --data-dir or OSIRIS_DATA_DIR")
	case runtime.GOOS == "darwin":
		return filepath.Join(home, "Library", "Application Support", "osiris"), nil
	}
	return filepath.Join(home, ".local", "share", "osiris"), nil
}
