// Natsnode is one node of the NATS that tests use, as a program: tests that run
// with the race detector start it, built without.
//
//	natsnode copy FILE   copies this program
//	natsnode run NODE    runs the node that the JSON describes
//
// A node says "ready", answers questions on standard input line by line, and shuts
// down when standard input ends: it never outlives the test that started it.
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/osiris/osiris/pkg/jobs/internal/natstest"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "natsnode:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 2 && args[0] == "copy":
		return natstest.CopySelf(args[1])
	case len(args) == 2 && args[0] == "run":
		return natstest.ServeNode(args[1], os.Stdin, os.Stdout)
	default:
		return errors.New("usage: natsnode copy FILE | natsnode run NODE")
	}
}
