package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/osiris/osiris/pkg/protocol"
)

// transcript writes answers as they come, and notes about them beside. Notes begin on
// a line of their own where both go to a terminal.
type transcript struct {
	out, notes io.Writer
	open       bool // the last line of out is not ended
}

// say writes a piece of an answer.
func (t *transcript) say(text string) error {
	t.open = !strings.HasSuffix(text, "\n")
	_, err := io.WriteString(t.out, text)
	return err
}

// endLine ends the line that is open, if there is one.
func (t *transcript) endLine() error {
	if !t.open {
		return nil
	}
	return t.say("\n")
}

// lost notes that the answer stops for a while.
func (t *transcript) lost(err error) {
	if t.open && isTerminal(t.out) && isTerminal(t.notes) {
		fmt.Fprintln(t.notes)
	}
	fmt.Fprintf(t.notes, "%s: %s. The server goes on with it: waiting\n", name, firstSentence(err.Error()))
}

// anew notes that what was written is not how the answer begins.
func (t *transcript) anew() error {
	if err := t.endLine(); err != nil {
		return err
	}
	fmt.Fprintf(t.notes, "%s: the answer was begun anew, and differs; this is all of it:\n", name)
	return nil
}

// ending notes that whoever interrupted has to wait for a moment.
func (t *transcript) ending() {
	fmt.Fprintf(t.notes, "%s: cancelling; again Ctrl-C leaves the job to the server\n", name)
}

// left notes that a job could not be cancelled.
func (t *transcript) left(base, id string) {
	if id == "" {
		fmt.Fprintf(t.notes, "%s: the server did not name the job, and may go on with it\n", name)
		return
	}
	fmt.Fprintf(t.notes, "%s: the job could not be cancelled, and the server may go on with it. To cancel it: POST %s/chat/completions/%s/cancel\n", name, base, id)
}

// firstSentence leaves out the advice that servers put behind what happened.
func firstSentence(s string) string {
	first, _, _ := strings.Cut(s, ". ")
	return strings.TrimRight(first, ". ")
}

// mayStillCome adds to the error that a wait ended with where the answer will be,
// should the server go on with it.
func mayStillCome(err error, url string) error {
	hint := "The whole answer may still come: GET " + url
	if e, ok := errors.AsType[*protocol.Error](err); ok {
		told := *e
		told.Message = strings.TrimRight(e.Message, ". ") + ". " + hint
		return &told
	}
	return fmt.Errorf("%w. %s", err, hint)
}

func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
