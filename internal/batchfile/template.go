package batchfile

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// template is text with values of a row in it.
type template []piece

type piece struct {
	text   string
	column int // of the value that follows text; -1 for none
}

// parseTemplate reads text with {column} in it; {{ and }} are braces.
func parseTemplate(text string, columns []string) (template, error) {
	var t template
	var plain strings.Builder
	for text != "" {
		at := strings.IndexAny(text, "{}")
		if at < 0 {
			break
		}
		plain.WriteString(text[:at])
		brace := text[at : at+1]
		text = text[at+1:]
		if strings.HasPrefix(text, brace) {
			plain.WriteString(brace)
			text = text[1:]
			continue
		}
		if brace == "}" {
			return nil, errors.New("a } without its {: write }} for a brace")
		}
		name, rest, ok := strings.Cut(text, "}")
		if !ok {
			return nil, fmt.Errorf("{%s is not closed: write {{ for a brace", text)
		}
		column := slices.Index(columns, strings.TrimSpace(name))
		if column < 0 {
			return nil, fmt.Errorf("there is no column %q, only %s", name, strings.Join(columns, ", "))
		}
		t = append(t, piece{plain.String(), column})
		plain.Reset()
		text = rest
	}
	plain.WriteString(text)
	return append(t, piece{plain.String(), -1}), nil
}

// fill returns the text for one row.
func (t template) fill(row []string) string {
	var b strings.Builder
	for _, p := range t {
		b.WriteString(p.text)
		if p.column >= 0 {
			b.WriteString(row[p.column])
		}
	}
	return b.String()
}
