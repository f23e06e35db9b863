package protocol

// maxExtras bounds the unknown members of one chunk: each costs ten times the
// bytes that it takes to say it.
const maxExtras = 1 << 10

// extraMember is a member that Osiris has no use for but keeps for the client.
type extraMember struct {
	name []byte // unescaped, without quotes
	text []byte // "name":value as JSON
}

// extra steps over the value of the member just named and notes both.
func (p *chunkParser) extra(name []byte) {
	at := p.nameAt
	p.value()
	if len(p.c.members) == maxExtras {
		p.fail()
	}
	p.c.members = append(p.c.members, extraMember{name, p.data[at:p.pos]})
}

// extras takes the members noted since there were from of them, and joins them
// to one text. Of those with the same name the last stays, as in every client.
func (p *chunkParser) extras(from int) []byte {
	members := p.c.members[from:]
	p.c.members = p.c.members[:from]
	if p.failed || len(members) == 0 {
		return nil
	}
	if len(members) == 1 {
		return members[0].text
	}
	members = lastOfEach(members)
	at := len(p.c.scratch)
	for i, m := range members {
		if i > 0 {
			p.c.scratch = append(p.c.scratch, ',')
		}
		p.c.scratch = append(p.c.scratch, m.text...)
	}
	return p.c.scratch[at:len(p.c.scratch):len(p.c.scratch)]
}

// lastOfEach removes members that are said again later, in place.
func lastOfEach(members []extraMember) []extraMember {
	const few = 16
	kept := members[:0]
	if len(members) <= few {
		for i, m := range members {
			if !named(members[i+1:], m.name) {
				kept = append(kept, m)
			}
		}
		return kept
	}
	last := make(map[string]int, len(members))
	for i, m := range members {
		last[string(m.name)] = i
	}
	for i, m := range members {
		if last[string(m.name)] == i {
			kept = append(kept, m)
		}
	}
	return kept
}

func named(members []extraMember, name []byte) bool {
	for _, m := range members {
		if string(m.name) == string(name) {
			return true
		}
	}
	return false
}

// membersOf takes a text as extras made it apart.
func membersOf(dst []extraMember, text []byte) []extraMember {
	if len(text) == 0 {
		return dst
	}
	s := spanScanner{data: text}
	for {
		if s.nameAt = s.pos; s.peek() != '"' {
			return dst
		}
		s.nameAt = s.pos
		name := unquoted(s.text())
		if s.peek() != ':' {
			return dst
		}
		s.pos++
		if s.value(); s.failed {
			return dst
		}
		dst = append(dst, extraMember{name, text[s.nameAt:s.pos]})
		if s.peek() != ',' {
			return dst
		}
		s.pos++
	}
}

// value returns the value of m.
func (m extraMember) value() []byte {
	s := spanScanner{data: m.text}
	s.text()
	if s.peek() == ':' {
		s.pos++
	}
	return s.value()
}

// appendMerged appends the members of under that over does not have, then over.
func appendMerged(dst, under, over []byte) []byte {
	if len(under) > 0 {
		above := membersOf(nil, over)
		members := membersOf(nil, under)
		for _, m := range members {
			if !named(above, m.name) {
				dst = append(append(dst, m.text...), ',')
			}
		}
	}
	if len(over) == 0 {
		if n := len(dst); len(under) > 0 && n > 0 && dst[n-1] == ',' {
			dst = dst[:n-1]
		}
		return dst
	}
	return append(dst, over...)
}
