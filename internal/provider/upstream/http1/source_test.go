package http1

import (
	"bytes"
	"io"
	"testing"
)

// reads is a connection that gives what is asked for up to most bytes at once, and
// notes how much was asked for.
type reads struct {
	left  []byte
	most  int
	asked []int
}

func (r *reads) Read(p []byte) (int, error) {
	r.asked = append(r.asked, len(p))
	if len(r.left) == 0 {
		return 0, io.EOF
	}
	n := copy(p, r.left[:min(r.most, len(r.left))])
	r.left = r.left[n:]
	return n, nil
}

// What arrives faster than it is read is read in wide pieces, until it comes slowly.
func TestSourceFollowsThePace(t *testing.T) {
	body := make([]byte, 60<<10)
	for i := range body {
		body[i] = byte(i % 251)
	}
	from := &reads{left: body, most: 1 << 20}
	var s source
	var lent buffers
	lent.lend(&s, from)
	var got []byte
	small := make([]byte, 700)
	take := func(until int) {
		t.Helper()
		for len(got) < until {
			n, err := s.take(small)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, small[:n]...)
		}
	}
	take(40 << 10)
	if len(from.asked) > 4 || from.asked[0] != firstBuffer || from.asked[1] != wideBuffer {
		t.Errorf("a fast body was asked for in pieces of %d", from.asked)
	}
	from.most = 300
	take(len(body) - 1000)
	if last := from.asked[len(from.asked)-1]; last > firstBuffer {
		t.Errorf("a slow body is asked for in pieces of %d", last)
	}
	take(len(body))
	if !bytes.Equal(got, body) {
		t.Error("the body changed on its way")
	}
	lent.giveBack(&s)
	lent.giveBack(&s) // has no effect
}

// What is pending when the buffer changes is not lost.
func TestSourceKeepsWhatIsPending(t *testing.T) {
	long := bytes.Repeat([]byte("x"), 3*wideBuffer)
	from := &reads{left: append(append([]byte("short\n"), long...), '\n'), most: 1 << 20}
	var s source
	new(buffers).lend(&s, from)
	for _, want := range [][]byte{[]byte("short"), long} {
		got, err := s.line(1 << 20)
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("a line of %d bytes came as %d, %v", len(want), len(got), err)
		}
	}
}
