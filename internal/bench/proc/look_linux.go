package proc

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// tick is the unit of processor times in /proc, USER_HZ, which is 100 on every
// architecture that Go runs on.
const tick = 10 * time.Millisecond

// look adds up the memory of processes and their descendants, and puts the processor
// time of each of their threads into seen.
func look(roots []int, seen map[int]time.Duration) (rss int64, err error) {
	if len(roots) == 0 {
		return 0, nil
	}
	all, gone := tree(roots)
	for _, pid := range gone {
		err = errors.Join(err, fmt.Errorf("process %d is not there", pid))
	}
	for _, pid := range all {
		rss += resident(pid)
		if !threads(pid, seen) {
			seen[pid] = max(seen[pid], ticks(pid))
		}
	}
	return rss, err
}

// tree returns processes with their descendants, and those of roots that are not there.
func tree(roots []int) (all, gone []int) {
	children := map[int][]int{}
	there := map[int]bool{}
	for _, pid := range pids() {
		there[pid] = true
		if fields := stat(pid); len(fields) > 1 {
			parent, _ := strconv.Atoi(fields[1])
			children[parent] = append(children[parent], pid)
		}
	}
	counted := map[int]bool{}
	var add func(pid int)
	add = func(pid int) {
		if counted[pid] {
			return
		}
		counted[pid] = true
		all = append(all, pid)
		for _, child := range children[pid] {
			add(child)
		}
	}
	for _, pid := range roots {
		if !there[pid] {
			gone = append(gone, pid)
			continue
		}
		add(pid)
	}
	return all, gone
}

func pids() []int {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1)
	var out []int
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			out = append(out, pid)
		}
	}
	return out
}

func path(pid int, name string) string { return filepath.Join("/proc", strconv.Itoa(pid), name) }

// stat returns the fields of /proc/PID/stat from the third on, the state: the second is
// the command, which may have anything in it.
func stat(pid int) []string {
	b, err := os.ReadFile(path(pid, "stat"))
	if err != nil {
		return nil
	}
	return strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
}

// ticks is user and system time of a process, of all its threads.
func ticks(pid int) time.Duration {
	fields := stat(pid)
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.ParseInt(fields[11], 10, 64)
	system, _ := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * tick
}

// threads puts the processor time of each thread of a process into seen. It reports false
// where the kernel does not tell.
func threads(pid int, seen map[int]time.Duration) bool {
	dir, err := os.Open(path(pid, "task"))
	if err != nil {
		return true // the process has just ended
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1)
	for _, name := range names {
		tid, _ := strconv.Atoi(name)
		b, err := os.ReadFile(path(pid, filepath.Join("task", name, "schedstat")))
		if errors.Is(err, os.ErrNotExist) && tid == pid {
			return false
		}
		if first, _, ok := bytes.Cut(b, []byte(" ")); err == nil && ok {
			ns, _ := strconv.ParseInt(string(first), 10, 64)
			seen[tid] = max(seen[tid], time.Duration(ns))
		}
	}
	return true
}

// resident is the memory that a process has, in bytes.
func resident(pid int) int64 {
	b, err := os.ReadFile(path(pid, "statm"))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(b))
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize())
}

// Named returns the processes, this one excepted, whose program has this name, such as
// "vllm", or whose command begins so, such as "osiris up".
func Named(name string) ([]int, error) {
	var out []int
	for _, pid := range pids() {
		if pid != os.Getpid() && isNamed(pid, name) {
			out = append(out, pid)
		}
	}
	slices.Sort(out)
	if len(out) == 0 {
		return nil, fmt.Errorf("there is no process %q", name)
	}
	return out, nil
}

func isNamed(pid int, name string) bool {
	line, err := os.ReadFile(path(pid, "cmdline"))
	if err != nil {
		return false
	}
	words := strings.Split(strings.TrimSuffix(string(line), "\x00"), "\x00")
	words[0] = filepath.Base(words[0])
	comm, _ := os.ReadFile(path(pid, "comm"))
	return words[0] == name || strings.TrimSpace(string(comm)) == name || strings.HasPrefix(strings.Join(words, " ")+" ", name+" ")
}

// Machine is the processor time that the whole machine has spent since it started, with
// what a hypervisor took away.
func Machine() (time.Duration, error) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, fmt.Errorf("read processor time of the machine: %w", err)
	}
	line, _, _ := strings.Cut(string(b), "\n")
	var sum int64
	for i, field := range strings.Fields(line) { // cpu user nice system idle iowait irq softirq steal …
		if n, err := strconv.ParseInt(field, 10, 64); err == nil && i != 4 && i != 5 && i < 9 {
			sum += n
		}
	}
	return time.Duration(sum) * tick, nil
}

// Self is the processor time of this process.
func Self() (time.Duration, error) {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return 0, fmt.Errorf("read own processor time: %w", err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano()), nil
}
