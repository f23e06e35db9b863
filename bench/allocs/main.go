// Allocs runs the benchmarks of the hot path and fails when one allocates more often
// than bench/allocs/allowed.txt says. Counts are the same on every machine; times are
// not, so nobody's build fails over them.
//
// A line of the table is a package, a benchmark and the most allocations that one of
// its operations may make. To change it: run go run ./bench/allocs, which prints what
// it counted beside what is allowed, and write the new number into the table in the
// commit that explains it. A benchmark that is new to the hot path gets a line of its
// own; one that is renamed or gone fails the run until its line follows. What goes
// through sockets is allowed a few more than are counted, because pools may be emptied
// by a collection in the middle; all else is exact.
package main

import (
	"bufio"
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

//go:embed allowed.txt
var table string

// operations is how many each benchmark runs: enough for pools to be filled.
const operations = "300x"

func main() {
	if err := run(os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "allocs:", err)
		os.Exit(1)
	}
}

func run(out io.Writer) error {
	allowed, err := readTable(table)
	if err != nil {
		return err
	}
	var packages, names []string
	for _, a := range allowed {
		packages = append(packages, a.pkg)
		top, _, _ := strings.Cut(a.name, "/")
		names = append(names, regexp.QuoteMeta(top))
	}
	slices.Sort(packages)
	slices.Sort(names)
	args := []string{
		"test", "-run", "^$", "-bench", "^(" + strings.Join(slices.Compact(names), "|") + ")$",
		"-benchmem", "-benchtime", operations, "-p", "1",
	}
	cmd := exec.Command("go", append(args, slices.Compact(packages)...)...)
	cmd.Stderr = os.Stderr
	said, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("run benchmarks: %w\n%s", err, said)
	}
	return compare(out, allowed, count(said))
}

// bound is one line of the table.
type bound struct {
	pkg, name string
	allocs    int
}

func readTable(text string) ([]bound, error) {
	var all []bound
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		if len(fields) != 3 {
			return nil, fmt.Errorf("read table: %q has not three columns", strings.TrimSpace(line))
		}
		n, err := strconv.Atoi(fields[2])
		if err != nil {
			return nil, fmt.Errorf("read table: %w", err)
		}
		all = append(all, bound{fields[0], fields[1], n})
	}
	return all, nil
}

var (
	packageLine   = regexp.MustCompile(`^pkg: [^/]+/[^/]+/[^/]+/(.+)$`)
	benchmarkLine = regexp.MustCompile(`^(Benchmark\S*?)(?:-\d+)?\s.*\s(\d+) allocs/op`)
)

// count reads what go test says: allocations by package and benchmark.
func count(said []byte) map[[2]string]int {
	counted := make(map[[2]string]int)
	pkg := ""
	for lines := bufio.NewScanner(bytes.NewReader(said)); lines.Scan(); {
		if m := packageLine.FindStringSubmatch(lines.Text()); m != nil {
			pkg = "./" + m[1]
		}
		if m := benchmarkLine.FindStringSubmatch(lines.Text()); m != nil {
			n, err := strconv.Atoi(m[2])
			if err == nil {
				counted[[2]string{pkg, m[1]}] = n
			}
		}
	}
	return counted
}

// compare prints what was counted beside what is allowed; more is an error.
func compare(out io.Writer, allowed []bound, counted map[[2]string]int) error {
	var faults []error
	for _, a := range allowed {
		n, ok := counted[[2]string{a.pkg, a.name}]
		switch {
		case !ok:
			faults = append(faults, fmt.Errorf("%s of %s did not run, or does not report allocations", a.name, a.pkg))
			continue
		case n > a.allocs:
			faults = append(faults, fmt.Errorf("%s of %s: %d allocations, %d are allowed", a.name, a.pkg, n, a.allocs))
		}
		fmt.Fprintf(out, "%-28s %-30s %6d of %6d\n", a.pkg, a.name, n, a.allocs)
	}
	return errors.Join(faults...)
}
