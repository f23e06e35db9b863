package protocol

// maxDepth is how deep a request may nest. The deepest real ones are JSON schemas
// with a few dozen levels; readers further down give up at about a thousand.
const maxDepth = 512

// The names of every open object are kept to find duplicates, at many times their
// size. Members beyond the first narrow of their object are therefore counted
// over the whole request, and maxWide of them are enough for any real one.
const (
	narrow  = 64
	maxWide = 1 << 17
)

// skip passes one value about which nothing is known.
func (v *validator) skip() error {
	tok, err := v.dec.ReadToken()
	if err != nil || tok.Kind() != '{' && tok.Kind() != '[' {
		return err
	}
	return v.skipRest()
}

// skipRest passes the rest of an object or array whose first token was read.
func (v *validator) skipRest() error {
	for outside := v.dec.StackDepth() - 1; v.dec.StackDepth() > outside; {
		if err := v.bound(); err != nil {
			return err
		}
		if _, err := v.dec.ReadToken(); err != nil {
			return err
		}
	}
	return nil
}

// bound keeps what is open within the limits; it is called before each member.
func (v *validator) bound() error {
	depth := v.dec.StackDepth()
	if depth > maxDepth {
		v.abort = faultDepth()
		return v.abort
	}
	// An object's length counts names and values.
	if kind, n := v.dec.StackIndex(depth); n > 2*narrow && n%2 == 0 && kind == '{' {
		if v.wide++; v.wide > maxWide {
			v.abort = faultWidth()
			return v.abort
		}
	}
	return nil
}
