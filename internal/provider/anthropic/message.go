package anthropic

import (
	"fmt"

	"github.com/osiris/osiris/internal/provider/upstream"
)

// whole handles an answer that came as one message although a stream was asked
// for, as some proxies do. It says the same as the stream would have.
func (s *stream) whole(data []byte) error {
	var content, usage, details, fault []byte
	err := s.walk.members(data, func(name, value []byte) {
		switch string(name) {
		case `"content"`:
			content = value
		case `"usage"`:
			usage = value
		case `"stop_reason"`:
			s.stop = text(value)
		case `"stop_details"`:
			details = value
		case `"error"`:
			fault = value
		}
	})
	switch {
	case err != nil:
		return s.rubbish(fmt.Errorf("message: %w", err))
	case len(fault) > 0 && fault[0] != 'n':
		return openAI(upstream.EventError(upstream.ParseError(data), s.model))
	}
	var blocks [][]byte
	if err := s.walk.elements(content, func(b []byte) { blocks = append(blocks, b) }); err != nil {
		return s.rubbish(fmt.Errorf("message content: %w", err))
	}
	if usage != nil {
		s.usage.read(s.walk, usage)
	}
	s.explain(details)
	if s.stop == "" {
		return s.finish() // not an answer: nothing of it is said
	}
	for i, b := range blocks {
		if err := s.begin(i, b); err != nil {
			return err
		}
		if err := s.end(i); err != nil {
			return err
		}
	}
	return s.finish()
}
