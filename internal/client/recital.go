package client

import "strings"

// recital says an answer once, although it may come several times: in pieces, from
// its beginning again, or anew from another attempt, which may say something else.
//
// Invariant: what was said since the last call of anew is text, and the answer that
// comes began with text[:match] whenever it comes again (TestRecital).
type recital struct {
	text  strings.Builder // that was said, of the attempt that counts
	again bool            // the answer comes from its beginning, and has not come further than text yet
	match int             // how much of text has come again
}

// begun reports whether anything was said.
func (r *recital) begun() bool { return r.text.Len() > 0 }

// repeat says that the answer comes from its beginning now.
func (r *recital) repeat() { r.again, r.match = true, 0 }

// take returns what is to be said of the next piece of the answer. void says that all
// that was said before is to be forgotten: the answer differs from it.
func (r *recital) take(piece string) (say string, void bool) {
	if !r.again {
		r.text.WriteString(piece)
		return piece, false
	}
	missing := r.text.String()[r.match:]
	if rest, ok := strings.CutPrefix(piece, missing); ok {
		r.again = false
		r.text.WriteString(rest)
		return rest, false
	}
	if strings.HasPrefix(missing, piece) {
		r.match += len(piece)
		return "", false
	}
	return r.forget(piece)
}

// end says that nothing follows. An answer that came again and ends before the end of
// what was said is another one.
func (r *recital) end() (say string, void bool) {
	if !r.again || r.match == r.text.Len() {
		return "", false
	}
	return r.forget("")
}

// forget begins anew with what came again and the piece that differs.
func (r *recital) forget(piece string) (say string, void bool) {
	say = r.text.String()[:r.match] + piece
	r.text.Reset()
	r.text.WriteString(say)
	r.again = false
	return say, true
}
