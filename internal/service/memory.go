package service

import (
	"math"
	"os"
	"path"
	"runtime/debug"
	"strconv"
	"strings"
)

// followContainer tells Go's garbage collector of the memory limit of the container, if
// there is one and GOMEMLIMIT does not say another: a program that nears it collects
// more often instead of being killed. A tenth is left for what Go does not count.
func followContainer() {
	if os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	own, _ := os.ReadFile("/proc/self/cgroup") // where it cannot be read, only the root is asked
	if limit := containerLimit("/sys/fs/cgroup", string(own)); limit > 0 {
		debug.SetMemoryLimit(limit - limit/10 + ballast) // Go counts what it reserved
	}
}

// containerLimit returns the smallest memory limit, in bytes, of the control groups of
// version 2 that a process is in; 0 if there is none. root is where they are mounted,
// own the process's /proc/self/cgroup, such as "0::/system.slice/osiris.service".
func containerLimit(root, own string) int64 {
	least := int64(math.MaxInt64)
	group := "/"
	for line := range strings.Lines(own) {
		if at, ok := strings.CutPrefix(strings.TrimSpace(line), "0::"); ok {
			group = path.Clean("/" + at)
		}
	}
	for {
		text, err := os.ReadFile(path.Join(root, group, "memory.max"))
		if err == nil {
			if n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil && n > 0 { // else "max"
				least = min(least, n)
			}
		}
		if group == "/" {
			break
		}
		group = path.Dir(group)
	}
	if least == math.MaxInt64 {
		return 0
	}
	return least
}
