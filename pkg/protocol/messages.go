package protocol

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// ListOrder says which items of a list come first.
type ListOrder bool

// The orders by time.
const (
	Ascending  ListOrder = false
	Descending ListOrder = true
)

// MessagePage selects from the messages of a completion's request and returns
// them as OpenAI lists them: each with an id, `<id>-N` for the Nth from 0, and with
// content_parts in place of a content in parts; everything else is as it was sent.
// after is the id of a message, "" for the beginning. request must be a body that
// ParseRequest accepted. The error is an *Error for the caller's eyes.
func MessagePage(id string, request []byte, after string, limit int, order ListOrder) (Page, error) {
	messages := elementsOf(findMember(request, "messages"))
	ids := make([]int, len(messages))
	for i := range ids {
		ids[i] = i
	}
	if order == Descending {
		slices.Reverse(ids)
	}
	if after != "" {
		number, ok := strings.CutPrefix(after, id+"-")
		n, err := strconv.Atoi(number)
		at := slices.Index(ids, n)
		if !ok || err != nil || at < 0 || number != strconv.Itoa(n) {
			return Page{}, ErrInvalid("after", "invalid_value", "Invalid value: '%s'. There is no message with this id in %s.", shorten(after), id)
		}
		ids = ids[at+1:]
	}
	page := Page{HasMore: len(ids) > limit}
	for _, n := range ids[:min(limit, len(ids))] {
		item, err := appendListed(nil, messages[n], messageID(id, n))
		if err != nil {
			return Page{}, ErrInternal().Wrap(fmt.Errorf("message %d: %w", n, err))
		}
		page.Items = append(page.Items, item)
		page.LastID = messageID(id, n)
	}
	if len(page.Items) > 0 {
		page.FirstID = messageID(id, ids[0])
	}
	return page, nil
}

func messageID(completion string, n int) string { return completion + "-" + strconv.Itoa(n) }

// appendListed appends one message of a list.
func appendListed(dst, message []byte, id string) ([]byte, error) {
	content, parts := findMember(message, "content"), []byte("null")
	if len(content) == 0 {
		content = []byte("null")
	}
	if content[0] == '[' {
		content, parts = []byte("null"), content
	}
	edits := []Member{
		{Name: "id", Value: appendLiteral(nil, id)},
		{Name: "content", Value: content},
		{Name: "content_parts", Value: parts},
	}
	for _, name := range []string{"refusal", "name"} {
		if findMember(message, name) == nil {
			edits = append(edits, Member{Name: name, Value: []byte("null")})
		}
	}
	return EditObject(dst, message, edits...)
}

// elementsOf returns the elements of a JSON array that was validated before.
func elementsOf(array []byte) [][]byte {
	if len(array) < 2 || array[0] != '[' {
		return nil
	}
	var elements [][]byte
	s := spanScanner{data: array}
	s.enter('[')
	for first := true; s.more(first, ']'); first = false {
		elements = append(elements, s.value())
	}
	return elements
}
