package anthropic

import "fmt"

// whole handles an answer that came as one message although a stream was asked
// for, as some proxies do. It says the same as the stream would have.
func (s *stream) whole(data []byte) error {
	var content, usage, details, failure []byte
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
			failure = value
		}
	})
	switch {
	case err != nil:
		return s.rubbish(fmt.Errorf("message: %w", err))
	case len(failure) > 0 && failure[0] != 'n':
		return s.fault(data)
	}
	var blocks [][]byte
	if err := s.walk.elements(content, func(b []byte) { blocks = append(blocks, b) }); err != nil {
		return s.rubbish(fmt.Errorf("message content: %w", err))
	}
	if err := s.count(usage); err != nil {
		return err
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
