package protocol

// jsonProgress follows a JSON object that arrives in pieces of text, itself
// inside JSON strings, only to tell when it is complete.
type jsonProgress struct {
	depth    int
	quoted   bool // inside a string of the object
	escaped  bool // after a backslash in it
	begun    bool // anything but white space came
	complete bool // the object was closed
}

// feed takes in the next piece, a JSON string literal.
func (p *jsonProgress) feed(literal []byte) {
	for i := 1; i < len(literal)-1; i++ {
		c := literal[i]
		if c == '\\' {
			n := escapeLength(literal[i:])
			if n == 0 {
				return
			}
			c = escapedByte(literal[i : i+n])
			i += n - 1
		}
		p.step(c)
	}
}

func (p *jsonProgress) step(c byte) {
	if p.quoted {
		switch {
		case p.escaped:
			p.escaped = false
		case c == '\\':
			p.escaped = true
		case c == '"':
			p.quoted = false
		}
		return
	}
	switch c {
	case ' ', '\t', '\n', '\r':
		return
	case '"':
		p.quoted = true
	case '{', '[':
		p.depth++
	case '}', ']':
		p.depth--
		p.complete = p.complete || p.depth == 0
	}
	p.begun = true
}

// escapedByte returns the character that an escape sequence stands for, 0x80 for
// those outside ASCII: no such character matters here.
func escapedByte(seq []byte) byte {
	switch c := seq[1]; c {
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	case 'b', 'f':
		return 0x80
	case 'u':
		n := 0
		for _, h := range seq[2:6] {
			n = n<<4 | hexValue(h)
		}
		if n >= 0x80 {
			return 0x80
		}
		return byte(n)
	default:
		return c
	}
}

func hexValue(c byte) int {
	if c <= '9' {
		return int(c - '0')
	}
	return int(c|0x20-'a') + 10
}

// opensObject reports whether the text of a JSON string literal begins with a
// brace.
func opensObject(literal []byte) bool {
	for i := 1; i < len(literal)-1; i++ {
		c := literal[i]
		if c == '\\' {
			n := escapeLength(literal[i:])
			if n == 0 {
				return false
			}
			c = escapedByte(literal[i : i+n])
			i += n - 1
		}
		switch c {
		case ' ', '\t', '\n', '\r':
		default:
			return c == '{'
		}
	}
	return false
}
