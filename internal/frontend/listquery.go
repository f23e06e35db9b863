package frontend

import (
	"errors"
	"strconv"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/osiris/osiris/pkg/jobs"
	"github.com/osiris/osiris/pkg/protocol"
)

// listQuery is what every list of the API is asked by.
type listQuery struct {
	limit int
	order protocol.ListOrder
	after string // an id; "" for the beginning
}

// parseListQuery reads limit (1 to most), order and after; what is absent or empty
// is as in otherwise.
func parseListQuery(fc *fiber.Ctx, most int, otherwise listQuery) (listQuery, error) {
	q := otherwise
	args := fc.Request().URI().QueryArgs()
	if text := string(args.Peek("limit")); text != "" {
		limit, err := integerParam("limit", text, 1, int64(most))
		if err != nil {
			return q, err
		}
		q.limit = int(limit)
	}
	switch text := string(args.Peek("order")); text {
	case "":
	case "asc":
		q.order = protocol.Ascending
	case "desc":
		q.order = protocol.Descending
	default:
		return q, valueError("order", text, "asc", "desc")
	}
	q.after = string(args.Peek("after"))
	return q, nil
}

// integerParam reads an integer between low and high.
func integerParam(name, text string, low, high int64) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 64) // beyond its range the nearest, and ErrRange
	switch {
	case err != nil && !errors.Is(err, strconv.ErrRange):
		got := "a string"
		if _, err := strconv.ParseFloat(text, 64); err == nil {
			got = "a decimal number"
		}
		return 0, protocol.ErrInvalid(name, "invalid_type", "Invalid type for '%s': expected an integer, but got %s instead.", name, got)
	case n < low:
		return 0, protocol.ErrInvalid(name, "integer_below_min_value",
			"Invalid '%s': integer below minimum value. Expected a value >= %d, but got %.40s instead.", name, low, text)
	case n > high:
		return 0, protocol.ErrInvalid(name, "integer_above_max_value",
			"Invalid '%s': integer above maximum value. Expected a value <= %d, but got %.40s instead.", name, high, text)
	}
	return n, nil
}

// booleanParam reads "true" or "false"; absent is false.
func booleanParam(fc *fiber.Ctx, name string) (bool, error) {
	switch text := string(fc.Request().URI().QueryArgs().Peek(name)); text {
	case "", "false":
		return false, nil
	case "true":
		return true, nil
	default:
		return false, protocol.ErrInvalid(name, "invalid_type", "Invalid type for '%s': expected a boolean, but got a string instead.", name)
	}
}

// valueError says that a parameter is none of its values.
func valueError(name, got string, values ...string) error {
	last := len(values) - 1
	and := " and "
	if last > 1 {
		and = ", and "
	}
	return protocol.ErrInvalid(name, "invalid_value", "Invalid value: '%s'. Supported values are: '%s'%s'%s'.",
		strings.ToValidUTF8(got[:min(len(got), 256)], ""), strings.Join(values[:last], "', '"), and, values[last])
}

// metadataParams reads metadata[key]=value as often as it is there. What looks like
// it and is not is refused: ignored, it would select everything.
func metadataParams(fc *fiber.Ctx) (map[string]string, error) {
	var metadata map[string]string
	for name, value := range fc.Request().URI().QueryArgs().All() {
		rest, ok := strings.CutPrefix(string(name), "metadata")
		if !ok || rest != "" && !strings.ContainsAny(rest[:1], "[]{}.:") {
			continue // another parameter
		}
		param := strings.ToValidUTF8(string(name[:min(len(name), 256)]), "")
		if rest == "" {
			return nil, protocol.ErrInvalid(param, "invalid_type",
				"Invalid type for 'metadata': expected an object, but got a string instead. Filter by metadata[key]=value.")
		}
		key, opened := strings.CutPrefix(rest, "[")
		key, closed := strings.CutSuffix(key, "]")
		if !opened || !closed || key == "" || strings.ContainsAny(key, "[]") {
			return nil, protocol.ErrInvalid(param, "invalid_value", "Invalid parameter: '%s'. Filter by metadata[key]=value.", param)
		}
		if have, twice := metadata[key]; twice && have != string(value) {
			return nil, protocol.ErrInvalid(param, "invalid_value", "Invalid parameter: '%s' has two values.", param)
		}
		if metadata == nil {
			metadata = make(map[string]string)
		}
		metadata[key] = string(value)
	}
	return metadata, nil
}

// checkAfter refuses a cursor that is no id of what is listed: read as the beginning,
// it would give a pager the first page for ever.
func checkAfter(after, prefix string) error {
	if after == "" {
		return nil
	}
	if id, ok := strings.CutPrefix(after, prefix); ok {
		if _, err := jobs.ParseID(id); err == nil {
			return nil
		}
	}
	return protocol.ErrInvalid("after", "invalid_value", "Invalid value: 'after' must be an id as a list gives it, beginning with '%s'.", prefix)
}
