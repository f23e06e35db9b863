package service

import (
	"runtime"
	"runtime/debug"
)

// stamp is the version that a release or an image was built as, set by the linker:
// -X github.com/osiris/osiris/internal/service.stamp=v1.2.3. Nothing else writes it.
var stamp string

// Version is the stamped version, else the module's as the go command recorded it.
func Version() string {
	version := stamp
	if info, ok := debug.ReadBuildInfo(); ok && version == "" {
		version = info.Main.Version
	}
	if version == "" {
		version = "(devel)"
	}
	return version + " " + runtime.Version()
}
