package echo

import (
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// logprob is the logprobs object of one piece, the nth token; nil if not asked for.
func (p *player) logprob(piece *piece, n int) []byte {
	if !p.prompt.logprobs {
		return nil
	}
	p.logprobs = append(p.logprobs[:0], `{"content":`...)
	if piece.kind == pieceRefusal {
		p.logprobs = append(p.logprobs, `null,"refusal":`...)
	}
	p.logprobs = append(p.logprobs, '[')
	p.logprobs = appendToken(p.logprobs, piece.text, n, p.prompt.topLogprobs)
	p.logprobs = append(p.logprobs, ']')
	if piece.kind == pieceContent {
		p.logprobs = append(p.logprobs, `,"refusal":null`...)
	}
	return append(p.logprobs, '}')
}

// allLogprobs is the logprobs object of the whole answer; null if not asked for.
func (p *player) allLogprobs() jsontext.Value {
	if !p.prompt.logprobs || len(p.script.segments) == 0 {
		return jsontext.Value("null")
	}
	lists := map[pieceKind][]byte{}
	said := 0
	for piece := range p.script.pieces() {
		if piece.kind != pieceCall {
			said++
		}
		if piece.kind != pieceContent && piece.kind != pieceRefusal {
			continue
		}
		list := append(lists[piece.kind], ',')
		lists[piece.kind] = appendToken(list, piece.text, said, p.prompt.topLogprobs)
	}
	if len(lists) == 0 {
		return jsontext.Value("null")
	}
	out := append([]byte(`{"content":`), listOrNull(lists[pieceContent])...)
	out = append(out, `,"refusal":`...)
	out = append(out, listOrNull(lists[pieceRefusal])...)
	return append(out, '}')
}

// listOrNull brackets elements that each begin with a comma.
func listOrNull(elements []byte) []byte {
	if len(elements) == 0 {
		return []byte("null")
	}
	elements[0] = '['
	return append(elements, ']')
}

// appendToken appends the nth token's logprob with top alternatives, the first of
// which is the token itself.
func appendToken(dst []byte, token string, n, top int) []byte {
	dst = appendAlternative(dst, token, 1+n%7)
	dst = append(dst, `,"top_logprobs":[`...)
	for i := range top {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendAlternative(dst, token+strings.Repeat("~", i), 1+n%7+100*i)
		dst = append(dst, '}')
	}
	return append(dst, "]}"...)
}

// appendAlternative appends a token without its closing brace; its logprob is
// minus so many hundredths.
func appendAlternative(dst []byte, token string, hundredths int) []byte {
	dst = append(dst, `{"token":`...)
	dst, _ = jsontext.AppendQuote(dst, token)
	dst = append(dst, `,"logprob":`...)
	dst = strconv.AppendFloat(dst, -float64(hundredths)/100, 'f', -1, 64)
	dst = append(dst, `,"bytes":[`...)
	for i := range len(token) {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = strconv.AppendUint(dst, uint64(token[i]), 10)
	}
	return append(dst, ']')
}
